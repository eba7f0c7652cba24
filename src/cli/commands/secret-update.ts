import type { Command } from 'commander';
import { encodeBase64 } from '../../api/base64.ts';
import { fail } from '../../errors/slicer-error.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { addWaitOptions, reportChange, type WaitFlags, waitMsOf } from '../delivery-report.ts';
import { ownerId, secretName } from '../option-values.ts';
import { warn } from '../output.ts';
import { addValueOptions, type ValueFlags, valueFromFlags, valueFromStdin } from '../secret-value.ts';

interface Flags extends ValueFlags, WaitFlags {
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

const DEFAULT_WAIT_MS = 30_000;

const EXAMPLES = `
Standard input is read only when no flag names a change. What no flag names stays as it is.
Running VMs follow at once; the command says how many hold the change when it returns, and
ends with code 7 when some do not.

Examples:
  $ slicer secret update my-secret --from-file=/path/to/newsecret.txt
  $ slicer secret update my-secret --permissions=0644 --uid=1001 --gid=1001
  $ pwgen 32 1 | slicer secret update my-secret
  $ slicer secret update my-secret --from-file=new.pem --no-wait`;

export function configure(command: Command, context: Context): void {
  command.argument('<name>', 'the secret', secretName);
  addValueOptions(command)
    .option('--permissions <mode>', 'mode of the file in the VM')
    .option('--uid <id>', 'its owner in the VM', ownerId('--uid'))
    .option('--gid <id>', 'its group in the VM', ownerId('--gid'));
  addWaitOptions(command, DEFAULT_WAIT_MS);
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, { permissions, uid, gid, ...flags }: Flags) => {
      const client = clientFor(command, context);
      const namesChange = permissions !== undefined || uid !== undefined || gid !== undefined;
      const value = (await valueFromFlags(flags, context)) ?? (namesChange ? undefined : await pipedValue(name, context));
      if (value?.byteLength === 0) warn(context, 'the value is empty');
      const { delivery } = await client.updateSecret(
        name,
        {
          ...(value === undefined ? {} : { data: encodeBase64(value) }),
          ...(value?.byteLength === 0 ? { allow_empty: true } : {}),
          ...(permissions === undefined ? {} : { permissions }),
          ...(uid === undefined ? {} : { uid }),
          ...(gid === undefined ? {} : { gid }),
        },
        waitMsOf(flags, DEFAULT_WAIT_MS),
      );
      const effect = value === undefined ? 'have the new mode and owner' : 'hold the new value';
      reportChange(context, { fact: `secret ${name} updated`, effect }, delivery);
    });
}

/** Nothing on standard input is what cron and CI give: it must not blank a secret. */
async function pipedValue(name: string, context: Context): Promise<Buffer> {
  const value = context.stdin.isTTY ? undefined : await valueFromStdin(context);
  if (value !== undefined && value.byteLength > 0) return value;
  throw fail(
    value === undefined ? 'usage' : 'empty_value',
    value === undefined ? 'nothing to change' : 'standard input is empty, and no flag names a change',
    `slicer secret update ${name} --from-file=PATH`,
  );
}
