// A grant: the secrets that one VM may have. It is decided when the VM is launched, kept with the VM's
// state, and nothing that a guest says changes it.
import type { SecretName } from './name.ts';

/** `all` includes secrets that are created later; a list is exactly that, and `[]` is none. */
export type Grant = 'all' | readonly SecretName[];

export function isGranted(grant: Grant, name: SecretName): boolean {
  return grant === 'all' || grant.includes(name);
}
