import { once } from 'node:events';
import { constants } from 'node:os';
import type { Command } from 'commander';
import type { ExecEvent } from '../../client/exec-stream.ts';
import { fail } from '../../errors/slicer-error.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { collect, ownerId } from '../option-values.ts';

interface Flags {
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  readonly env?: string[];
  readonly shell?: true;
}

const SHELL = '/bin/sh';

const EXAMPLES = `
The command runs as root unless --uid says otherwise, with no shell in between unless --shell does.
Standard input is passed on unless it is a terminal; stdout and stderr come back apart, byte for
byte. The exit code is the command's; Ctrl+C ends it.

Examples:
  $ slicer vm exec web-1 -- ls -l /run/slicer/secrets
  $ slicer vm exec web-1 --uid 1000 --cwd /home/ubuntu -- id
  $ slicer vm exec web-1 --shell -- 'wc -c < /run/slicer/secrets/api-key'
  $ tar c site | slicer vm exec web-1 -- tar x -C /srv`;

export function configure(command: Command, context: Context): void {
  command
    .usage('[options] NAME -- COMMAND...')
    .argument('<name>', 'the VM')
    .argument('<command...>', 'the program and its arguments')
    .option('--uid <id>', 'user to run it as (default: 0)', ownerId('--uid'))
    .option('--gid <id>', 'group to run it as (default: the user\'s)', ownerId('--gid'))
    .option('--cwd <path>', 'directory to run it in')
    .option('--env <name=value>', 'a variable for its environment; repeatable', collect)
    .option('--shell', `run the words, joined by spaces, with ${SHELL} -c`);
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, words: [string, ...string[]], flags: Flags) => {
      requireDashes(context.argv, name, words[0]);
      const client = clientFor(command, context);
      const interrupt = new AbortController();
      const signals = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => {
        const onSignal = (): void => {
          context.exitCode = 128 + constants.signals[signal];
          interrupt.abort();
        };
        process.once(signal, onSignal);
        return () => process.off(signal, onSignal);
      });
      try {
        const events = client.exec(name, {
          command: words,
          ...(flags.shell ? { shell: SHELL } : {}),
          ...(flags.uid === undefined ? {} : { uid: flags.uid }),
          ...(flags.gid === undefined ? {} : { gid: flags.gid }),
          ...(flags.cwd === undefined ? {} : { cwd: flags.cwd }),
          ...(flags.env === undefined ? {} : { env: flags.env }),
          ...(context.stdin.isTTY ? {} : { stdin: context.stdin as AsyncIterable<Uint8Array> }),
          signal: interrupt.signal,
        });
        for await (const event of events) await passOn(event, context);
      } catch (error) {
        if (!interrupt.signal.aborted) throw error;
      } finally {
        for (const off of signals) off();
        // The command has ended, whether or not somebody still holds the other end of the pipe.
        context.stdin.destroy();
      }
    });
}

/** Without `--`, an option meant for the command would be taken for one of ours. */
function requireDashes(argv: readonly string[], name: string, firstWord: string): void {
  if (argv.includes('--')) return;
  const begin = argv.indexOf(firstWord, argv.indexOf(name) + 1);
  if (argv.slice(begin).some((word) => word.startsWith('-'))) {
    throw fail('usage', 'the command has options: put -- before it', `slicer vm exec ${name} -- ${firstWord} ...`);
  }
}

async function passOn(event: ExecEvent, context: Context): Promise<void> {
  if (event.type === 'exit') context.exitCode = event.exitCode;
  if (event.type !== 'stdout' && event.type !== 'stderr') return;
  const stream = context[event.type];
  // A stderr that nobody reads any more takes nothing, and never drains.
  if (!stream.write(event.data)) await once(stream, 'drain').catch(() => undefined);
}
