// --secret, --secrets and --no-secrets, which say what a VM may have.
import type { Command } from 'commander';
import { fail } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import { secretName } from './option-values.ts';

/** Adds the flags. The result tells, once they are read, the names, or undefined for the default. */
export function addGrantOptions(command: Command, defaultGrant: string): () => SecretName[] | undefined {
  const names: SecretName[] = [];
  let wantsNone = false;
  // An empty word is refused like any other bad name: `--secret=$UNSET` must not mean "all".
  const addNames = (list: string): true => {
    for (const name of list.split(',')) {
      const valid = secretName(name.trim());
      if (!names.includes(valid)) names.push(valid);
    }
    return true;
  };
  command
    .option('--secret <name>', `a secret that the VM may have; repeat it or put commas between names (default: ${defaultGrant})`, addNames)
    .option('--secrets <names>', 'the same as --secret', addNames)
    .option('--no-secrets', 'the VM may have none')
    .on('option:no-secrets', () => {
      wantsNone = true;
    });
  return () => {
    if (wantsNone && names.length > 0) throw fail('usage', '--no-secrets excludes --secret and --secrets');
    return wantsNone || names.length > 0 ? names : undefined;
  };
}
