// --credential, which says what a VM gets as systemd credentials. What was typed is never repeated in an error: it may
// be a value in the wrong place.
import type { LaunchBody } from '../api/nodes.ts';
import { fail } from '../errors/slicer-error.ts';
import { DELIVER_CHOICES } from '../delivery/credential.ts';
import { parseSecretName } from '../secret/name.ts';

export type Credential = NonNullable<LaunchBody['credentials']>[number];

const CHOICES = ['trimNewline', 'allowEmpty', 'allowReserved'] as const;
const DELIVER = 'deliver=';
const RULE = `NAME=SECRET, and after it any of ,${CHOICES.join(' ,')} ,${DELIVER}${DELIVER_CHOICES.join('|')}`;

/** For an option that may be repeated. Which names there can be is the daemon's question. Throws usage. */
export function addCredential(text: string, before: readonly Credential[] = []): Credential[] {
  const [, name, rest = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  const [secret = '', ...words] = rest.split(',');
  const chosen = words.map(choiceOf);
  if (name === undefined || parseSecretName(secret) === undefined || chosen.includes(undefined)) {
    throw fail('usage', `--credential must be ${RULE}`, '--credential=db-password=db-password');
  }
  return [...before, Object.assign({ name, secret }, ...chosen) as Credential];
}

function choiceOf(word: string): Partial<Credential> | undefined {
  const choice = CHOICES.find((known) => known === word);
  if (choice !== undefined) return { [choice]: true };
  const deliver = word.startsWith(DELIVER) ? DELIVER_CHOICES.find((known) => known === word.slice(DELIVER.length)) : undefined;
  return deliver === undefined ? undefined : { deliver };
}
