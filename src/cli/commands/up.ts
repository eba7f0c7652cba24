// The one command that holds the daemon. It runs in the foreground, under a terminal or a supervisor.
import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import { installCrashHandler } from '../../daemon/crash.ts';
import { startDaemon } from '../../daemon/daemon.ts';
import { openLog } from '../../daemon/log.ts';
import type { Context } from '../context.ts';

const EXAMPLES = `
Runs in the foreground and logs to stderr as JSON lines (SLICER_LOG_LEVEL: debug, info, warn, error).
SIGTERM and Ctrl+C stop it and all VMs; with --keep-vms the VMs run on, and the next slicer up takes
them over. Relative paths of the configuration start from the working directory.

Examples:
  $ slicer new web > slicer.yaml && sudo slicer up
  $ sudo slicer up /etc/slicer/slicer.yaml --keep-vms`;

export function configure(command: Command, context: Context): void {
  command
    .argument('[file]', 'the configuration', './slicer.yaml')
    .option('--keep-vms', 'leave VMs running when it stops')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, { keepVms = false }: { keepVms?: boolean }) => {
      const config = loadConfig(file);
      const log = openLog(context.env['SLICER_LOG_LEVEL']);
      installCrashHandler(log);
      const daemon = await startDaemon(config, { directory: process.cwd(), keepVms, log });
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void daemon.stop());
      await daemon.done;
    });
}
