import type { Command } from 'commander';
import { encodeBase64 } from '../../api/base64.ts';
import { fail } from '../../errors/slicer-error.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { addWaitOptions, reportChange, type WaitFlags, waitMsOf } from '../delivery-report.ts';
import { ownerId, secretName } from '../option-values.ts';
import { warn } from '../output.ts';
import { addValueOptions, type ValueFlags, valueFromFlags, valueFromPrompt, valueFromStdin } from '../secret-value.ts';

interface Flags extends ValueFlags, WaitFlags {
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly generate?: string;
}

const EXAMPLES = `
Without --from-literal and --from-file the value is read from standard input, byte for byte;
at a terminal it is asked for and not shown.

Examples:
  $ echo "my secret value" | slicer secret create my-secret
  $ slicer secret create db-password --generate random:32
  $ cat /path/to/secret.txt | slicer secret create my-secret
  $ slicer secret create my-secret --from-file=/path/to/secret.txt
  $ slicer secret create tls-key --from-file=key.pem --permissions=0600 --uid=1000 --gid=1000`;

export function configure(command: Command, context: Context): void {
  command.argument('<name>', 'A-Z a-z 0-9 . _ -, at most 253 characters, no dot at its beginning', secretName);
  addValueOptions(command)
    .option('--generate <kind>', 'make the value: random:32, random:32:hex, password:24 or uuid')
    .option('--permissions <mode>', 'mode of the file in the VM (default: 0600)')
    .option('--uid <id>', 'its owner in the VM (default: 0)', ownerId('--uid'))
    .option('--gid <id>', 'its group in the VM (default: 0)', ownerId('--gid'));
  addWaitOptions(command, undefined);
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, { permissions, uid, gid, generate, ...flags }: Flags) => {
      const client = clientFor(command, context);
      const value = (await generatedValue(generate, flags)) ?? (await valueFromFlags(flags, context)) ??
        (context.stdin.isTTY ? await valueFromPrompt(name, context) : await valueFromStdin(context));
      if (value.byteLength === 0) warn(context, 'the value is empty');
      const { delivery } = await client.createSecret(
        {
          name,
          data: encodeBase64(value),
          ...(permissions === undefined ? {} : { permissions }),
          ...(uid === undefined ? {} : { uid }),
          ...(gid === undefined ? {} : { gid }),
        },
        waitMsOf(flags, undefined),
      );
      reportChange(context, { fact: `secret ${name} created`, effect: 'hold it' }, delivery);
    });
}

async function generatedValue(generate: string | undefined, { fromFile, fromLiteral }: ValueFlags): Promise<Uint8Array | undefined> {
  if (generate === undefined) return undefined;
  if (fromFile !== undefined || fromLiteral !== undefined) throw fail('usage', '--generate excludes --from-literal and --from-file');
  return (await import('../../generate/value-spec.ts')).makeValue(generate).reveal();
}
