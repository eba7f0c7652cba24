// What one VM may hold over the live channel: files of the secrets that it was granted, and credentials.
import { createHash } from 'node:crypto';
import { isGranted, type Grant } from '../secret/grant.ts';
import { parseSecretName, type SecretName } from '../secret/name.ts';
import { CREDENTIAL_PREFIX } from '../wire/protocol.ts';
import type { LiveCredential } from './contract.ts';

export interface Scope {
  readonly grant: Grant;
  readonly credentials: readonly LiveCredential[];
  /** The same for scopes that hold the same. */
  readonly key: string;
}

export function scopeOf(grant: Grant, credentials: readonly LiveCredential[]): Scope {
  const names = grant === 'all' ? grant : [...new Set(grant)].sort();
  const given = credentials.map(({ name, secret, trimNewline }) => [name, secret, trimNewline]).sort();
  return { grant, credentials, key: createHash('sha256').update(JSON.stringify([names, given])).digest('hex') };
}

/** The name that a credential has in an archive. */
export const credentialEntry = (name: string): string => `${CREDENTIAL_PREFIX}${name}`;

/** Whether a name that the guest says is one that an archive for it can have. */
export function isEntryOf({ grant, credentials }: Scope, entry: string): boolean {
  if (credentials.some(({ name }) => credentialEntry(name) === entry)) return true;
  const name = parseSecretName(entry);
  return name !== undefined && isGranted(grant, name);
}

/** Whether the VM gets the secret in any form. */
export function isInScope({ grant, credentials }: Pick<Scope, 'grant' | 'credentials'>, name: SecretName): boolean {
  return isGranted(grant, name) || credentials.some(({ secret }) => secret === name);
}
