import type { Command } from 'commander';
import { GIT_COMMIT, VERSION, VERSION_LINE } from '../../api/version.ts';
import type { Context } from '../context.ts';
import { printJson, printLine } from '../output.ts';

export function configure(command: Command, context: Context): void {
  command.option('--json', 'as JSON').action(({ json }: { json?: true }) => {
    if (json) printJson(context, { version: VERSION, git_commit: GIT_COMMIT });
    else printLine(context, VERSION_LINE);
  });
}
