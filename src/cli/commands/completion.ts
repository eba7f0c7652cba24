import type { Command } from 'commander';
import { fail } from '../../errors/slicer-error.ts';
import { commandShapes } from '../command-shape.ts';
import { GROUPS } from '../command-table.ts';
import { bashCompletion } from '../completion/bash.ts';
import { fishCompletion } from '../completion/fish.ts';
import { treeOf } from '../completion/tree.ts';
import { zshCompletion } from '../completion/zsh.ts';
import type { Context } from '../context.ts';

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

const EXAMPLES = `
Commands, options, and the names of VMs and secrets, which the daemon is asked for. The Debian
package has all three in place.

Examples:
  $ . <(slicer completion bash)
  $ slicer completion zsh > ~/.zfunc/_slicer
  $ slicer completion fish > ~/.config/fish/completions/slicer.fish`;

export function configure(command: Command, context: Context): void {
  command
    .argument('<shell>', Object.keys(SHELLS).join(', '))
    .addHelpText('after', EXAMPLES)
    .action(async (shell: string) => {
      if (!Object.hasOwn(SHELLS, shell)) throw fail('usage', `there is no completion for "${shell}"`, `slicer completion ${Object.keys(SHELLS).join('|')}`);
      const tree = treeOf(GROUPS, await commandShapes(context));
      context.stdout.write(SHELLS[shell as keyof typeof SHELLS](tree));
    });
}
