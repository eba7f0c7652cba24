import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { HYPERVISORS, MACHINE_TYPES, type Hypervisor, type MachineType } from '../../delivery/hypervisor.ts';
import { fail } from '../../errors/slicer-error.ts';
import type { SlicerClient } from '../../client/slicer-client.ts';
import { addConnectionOptions, clientFor } from '../connection.ts';
import type { Context } from '../context.ts';
import { addCredential, type Credential } from '../credential-option.ts';
import { addGrantOptions } from '../grant-options.ts';
import { collect, durationMs, oneOf, wholeNumber } from '../option-values.ts';
import { printJson, printLine } from '../output.ts';

interface Flags {
  readonly credential?: Credential[];
  readonly image?: (typeof IMAGES)[number];
  readonly hypervisor?: Hypervisor;
  readonly machine?: MachineType;
  readonly tag?: string[];
  readonly cpus?: number;
  readonly ramMb?: number;
  readonly ramGb?: number;
  readonly userdata?: string;
  readonly userdataFile?: string;
  readonly wait?: true;
  readonly waitUserdata?: true;
  readonly timeout?: number;
  readonly json?: true;
}

const MIB = 1024 * 1024;

/** Those that `slicer image build` makes. */
const IMAGES = ['tiny', 'debian'] as const;

const EXAMPLES = `
Without GROUP it is the only host group there is. The VM's host name is printed on stdout.

Examples:
  $ slicer vm launch --secret=api-key --wait
  $ slicer vm launch web --secret=api-key,tls-key --tag=team=blue
  $ slicer vm launch --no-secrets --credential=DB_PASSWORD=db-password
  $ slicer vm launch --image=debian --credential=DB_PASSWORD=db-password --wait --timeout=1m
  $ slicer vm launch --hypervisor=firecracker --credential=DB_PASSWORD=db-password,deliver=live
  $ slicer vm launch --no-secrets --userdata-file=setup.sh --wait-userdata --timeout=2m
  $ VM=$(slicer vm launch --wait --json | jq -r .hostname)`;

export function configure(command: Command, context: Context): void {
  command.argument('[group]', 'the host group');
  const grant = addGrantOptions(command, 'what the group says');
  command
    .option('--credential <name=secret>', 'a secret that the VM gets as a systemd credential, at boot where it can; repeatable', addCredential)
    .option('--image <name>', `the guest image: ${IMAGES.join(', ')} (default: what the group says)`, oneOf('--image', IMAGES))
    .option('--hypervisor <name>', `what runs the VM: ${HYPERVISORS.join(', ')} (default: what the group says)`, oneOf('--hypervisor', HYPERVISORS))
    .option('--machine <type>', `QEMU's machine: ${MACHINE_TYPES.join(', ')} (default: what the group says)`, oneOf('--machine', MACHINE_TYPES))
    .option('--tag <tag>', 'a tag, to find the VM by; repeatable', collect)
    .option('--cpus <n>', 'virtual CPUs (default: what the group says)', wholeNumber('--cpus', 1, 255))
    .option('--ram-mb <n>', 'memory in MiB', wholeNumber('--ram-mb', 1, 16_777_216))
    .option('--ram-gb <n>', 'memory in GiB', wholeNumber('--ram-gb', 1, 16_384))
    .option('--userdata <script>', 'a script that the VM runs once, after its secrets are in place')
    .option('--userdata-file <path>', 'a file that holds that script')
    .option('--wait', 'return once the secrets are in place')
    .option('--wait-userdata', 'return once userdata has run too')
    .option('--timeout <duration>', 'how long to wait; past it the VM is deleted (default: 30s)', durationMs('--timeout'))
    .option('--json', 'print what the API answers');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (group: string | undefined, flags: Flags) => {
      const client = clientFor(command, context);
      const secrets = grant();
      const ramBytes = ramBytesOf(flags);
      const userdata = await userdataOf(flags);
      const wait = flags.waitUserdata ? 'userdata' : flags.wait ? 'agent' : undefined;
      if (wait === undefined && flags.timeout !== undefined) throw fail('usage', '--timeout needs --wait or --wait-userdata');
      const node = await client.launchNode(
        group ?? (await onlyGroup(client)),
        {
          ...(flags.cpus === undefined ? {} : { cpus: flags.cpus }),
          ...(ramBytes === undefined ? {} : { ram_bytes: ramBytes }),
          ...(userdata === undefined ? {} : { userdata }),
          ...(flags.tag === undefined ? {} : { tags: flags.tag }),
          ...(secrets === undefined ? {} : { secrets }),
          ...(flags.credential === undefined ? {} : { credentials: flags.credential }),
          ...(flags.image === undefined ? {} : { image: flags.image }),
          ...(flags.hypervisor === undefined ? {} : { hypervisor: flags.hypervisor }),
          ...(flags.machine === undefined ? {} : { machine: flags.machine }),
        },
        { ...(wait === undefined ? {} : { wait }), ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }) },
      );
      if (flags.json) printJson(context, node);
      else printLine(context, node.hostname);
    });
}

async function onlyGroup(client: SlicerClient): Promise<string> {
  const names = (await client.listGroups()).map(({ name }) => name);
  const [only] = names;
  if (only === undefined) throw fail('group_not_found', 'the daemon has no host group', 'add one to config.host_groups');
  if (names.length > 1) throw fail('usage', `there are several host groups: ${names.join(', ')}`, `slicer vm launch ${only}`);
  return only;
}

function ramBytesOf({ ramMb, ramGb }: Flags): number | undefined {
  if (ramMb !== undefined && ramGb !== undefined) throw fail('usage', '--ram-mb and --ram-gb exclude each other');
  if (ramMb !== undefined) return ramMb * MIB;
  return ramGb === undefined ? undefined : ramGb * 1024 * MIB;
}

async function userdataOf({ userdata, userdataFile }: Flags): Promise<string | undefined> {
  if (userdata !== undefined && userdataFile !== undefined) {
    throw fail('usage', '--userdata and --userdata-file exclude each other');
  }
  if (userdataFile === undefined) return userdata;
  try {
    return await readFile(userdataFile, 'utf8');
  } catch (error) {
    throw fail('not_found', `cannot read "${userdataFile}" (${(error as NodeJS.ErrnoException).code})`);
  }
}
