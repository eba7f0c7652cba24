import type { Command } from 'commander';
import { loadConfig } from '../../config/load.ts';
import { installCrashHandler } from '../../daemon/crash.ts';
import { startDaemon } from '../../daemon/daemon.ts';
import { openLog } from '../../daemon/log.ts';
import { fail, SlicerError } from '../../errors/slicer-error.ts';
import { switchOffCoreDumps } from '../../vm/core-dumps.ts';
import type { Context } from '../context.ts';

const DEFAULT_FILE = 'slicer.yaml';

const EXAMPLES = `
Runs in the foreground and logs to stderr (SLICER_LOG_LEVEL=debug for more). SIGTERM and Ctrl-C
stop all VMs; with --keep-vms they run on, and the next \`slicer up\` adopts them.

Examples:
  $ slicer new web > slicer.yaml && slicer up
  $ slicer up --keep-vms /etc/slicer.yaml`;

export function configure(command: Command, context: Context): void {
  command
    .argument('[file]', 'the configuration', DEFAULT_FILE)
    .option('--keep-vms', 'leave VMs running when the daemon stops')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, { keepVms = false }: { keepVms?: boolean }) => {
      const config = load(file);
      const log = openLog(context.env['SLICER_LOG_LEVEL']);
      installCrashHandler(log);
      await switchOffCoreDumps(context.env['PATH'] ?? '');
      const daemon = await startDaemon(config, { directory: process.cwd(), keepVms, log });
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void daemon.stop().catch(() => undefined));
      await daemon.done;
    });
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
