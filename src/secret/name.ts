// The names of secrets. A name is a file name on the host and in the guest, so the rule is the strictest
// of both: no separators, nothing hidden, nothing that a shell or a tar archive reads differently.

declare const brand: unique symbol;

/** A name that `parseSecretName` accepted. */
export type SecretName = string & { readonly [brand]: 'SecretName' };

export const SECRET_NAME_MAX_LENGTH = 253;

export const SECRET_NAME_RULE =
  '1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot';

const PATTERN = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$/;

/** The name as a `SecretName`, or undefined when it breaks the rule. */
export function parseSecretName(text: string): SecretName | undefined {
  return PATTERN.test(text) ? (text as SecretName) : undefined;
}
