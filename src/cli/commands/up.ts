import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { configWithoutGroups, loadConfig } from '../../config/load.ts';
import { installCrashHandler } from '../../daemon/crash.ts';
import { startDaemon } from '../../daemon/daemon.ts';
import { openLog } from '../../daemon/log.ts';
import { fail, SlicerError } from '../../errors/slicer-error.ts';
import { serviceManager, type ServiceManager } from '../../run/service-manager.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import type { Context } from '../context.ts';
import { inventoryOf, vmsOfMachine, type InstanceFlags } from '../instance-options.ts';
import { warn } from '../output.ts';
import { addVarsFlags } from '../vars-flags.ts';

const DEFAULT_FILE = 'slicer.yaml';

interface Flags extends InstanceFlags {
  readonly keepVms?: boolean;
  readonly machine?: string;
}

const EXAMPLES = `
Runs in the foreground and logs to stderr (SLICER_LOG_LEVEL=debug for more). SIGTERM and Ctrl-C
stop all VMs; with --keep-vms they run on, and the next \`slicer up\` adopts them. With --inventory
the instances of this machine are VMs too, with slicer.yaml or without.

Examples:
  $ slicer new web > slicer.yaml && slicer up
  $ slicer up --keep-vms /etc/slicer.yaml
  $ slicer up --inventory=inventory.yaml`;

export function configure(command: Command, context: Context): void {
  command.argument('[file]', 'the configuration', DEFAULT_FILE);
  addVarsFlags(command)
    .option('--machine <name>', 'whose instances to run (default: this one\'s host name, or the only one)')
    .option('--keep-vms', 'leave VMs running when the daemon stops')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, { keepVms = false, machine, ...flags }: Flags) => {
      const uid = (process.geteuid as () => number)();
      const inventory = flags.inventory === undefined ? undefined
        : { vms: vmsOfMachine(await inventoryOf(flags.inventory, flags, context), machine, flags.inventory), env: context.env, uid };
      if (inventory === undefined && machine !== undefined) throw fail('usage', '--machine is for --inventory');
      const config = inventory !== undefined && file === DEFAULT_FILE && !existsSync(file) ? configWithoutGroups() : load(file);
      const log = openLog(context.env['SLICER_LOG_LEVEL']);
      installCrashHandler(log);
      await keepProcessPrivate(context.env['PATH'] ?? '');
      const manager = await managerOf(context);
      const daemon = await startDaemon(config, { directory: process.cwd(), keepVms, log, ...(inventory === undefined ? {} : { inventory }) });
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void daemon.stop().catch(() => undefined));
      manager?.tell({ ready: true, status: `the API is at ${daemon.urls.join(' and ')}` });
      await daemon.done;
    });
}

/** Who waits to be told that the API answers (Type=notify). Throws missing_part where it could not be. */
async function managerOf(context: Context): Promise<ServiceManager | undefined> {
  const socket = context.env['NOTIFY_SOCKET'] ?? '';
  if (socket === '') return undefined;
  const manager = await serviceManager(socket, context.env['PATH'] ?? '', (fact) => warn(context, fact));
  if (manager === undefined) throw fail('missing_part', 'systemd-notify is not there, and $NOTIFY_SOCKET is to be told that the daemon is up', 'apt-get install systemd');
  return manager;
}

/** Without a file the next step is to make one. */
function load(file: string): ReturnType<typeof loadConfig> {
  try {
    return loadConfig(file);
  } catch (error) {
    if (file !== DEFAULT_FILE || !(error instanceof SlicerError) || error.code !== 'not_found') throw error;
    throw fail('not_found', `there is no ${DEFAULT_FILE} in ${process.cwd()}`, `slicer new GROUP > ${DEFAULT_FILE}`);
  }
}
