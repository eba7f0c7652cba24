// Secrets that were read once and never change, as a source for the VM of one process.
import { DEFAULT_ATTRIBUTES } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import type { SecretSource, SourceSnapshot } from './secret-source.ts';

/** `readAtMs`, milliseconds since 1970, is the time that the guest's files show. As files they are root's alone. */
export function fixedSecrets(values: ReadonlyMap<SecretName, Secret>, readAtMs: number): SecretSource {
  const secrets = new Map([...values].map(([name, value]) =>
    [name, { name, value, attributes: DEFAULT_ATTRIBUTES, modifiedAtMs: readAtMs, version: 1 }]));
  const snapshot: SourceSnapshot = { counter: 1, secrets, removed: new Map() };
  return { snapshot: () => snapshot, onChange: () => () => undefined };
}
