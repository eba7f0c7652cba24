// Where the value of an inventory's secret comes from, by what is written of it. Decided here alone: who starts
// VMs and who makes values must agree which of them are made. Pure.
import { parseSecretName } from '../secret/name.ts';
import type { Entries, Issue } from './document.ts';

export type WrittenSource =
  | { readonly kind: 'path' }
  /** `$CREDENTIALS_DIRECTORY` alone. */
  | { readonly kind: 'unit' }
  /** Made by the instance's own generator, in a file that is called as the secret is. */
  | { readonly kind: 'made' }
  | { readonly kind: 'var'; readonly generator: string; readonly file: string }
  /** Its path starts at the secret. */
  | { readonly kind: 'wrong'; readonly issue: Issue };

/** A secret with nothing that says where its value comes from is made. */
export function writtenSource({ secretPath, var: named, generateSecret }: Entries): WrittenSource {
  const isThere = (value: unknown): boolean => value !== undefined && value !== null;
  if (isThere(generateSecret) && typeof generateSecret !== 'boolean') return wrong('generateSecret', 'value', 'expected true or false');
  const given = [...(isThere(secretPath) ? ['secretPath'] : []), ...(isThere(named) ? ['var'] : []), ...(generateSecret === true ? ['generateSecret'] : [])];
  const [first, second] = given;
  if (second !== undefined) return wrong(second, 'key', `expected one of secretPath, var and generateSecret: true, got ${first} too`);
  if (first === 'secretPath') return { kind: 'path' };
  if (first === 'var') return varOf(named);
  return { kind: generateSecret === false ? 'unit' : 'made' };
}

function varOf(named: unknown): WrittenSource {
  const [, generator, file] = (typeof named === 'string' ? /^([^/]+)\/([^/]+)$/.exec(named) : null) ?? [];
  if (generator === undefined || file === undefined || parseSecretName(generator) === undefined || parseSecretName(file) === undefined) {
    return wrong('var', 'value', 'expected GENERATOR/FILE');
  }
  return { kind: 'var', generator, file };
}

const wrong = (key: string, at: Issue['at'], message: string): WrittenSource => ({ kind: 'wrong', issue: { path: [key], at, message } });
