// Runs one VM in the foreground, with no daemon: by hand, or as a systemd service.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { formatDurationMs } from '../../api/duration.ts';
import type { RunFile } from '../../config/run-file.ts';
import { fail } from '../../errors/slicer-error.ts';
import type { ForegroundAudit } from '../../run/audit.ts';
import type { RunEnd, StopRequests } from '../../run/vm-end.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import type { Context } from '../context.ts';
import type { InstanceFlags } from '../instance-options.ts';
import { durationMs } from '../option-values.ts';
import { say, warn } from '../output.ts';
import { escapeLines } from '../terminal-text.ts';
import { addVarsFlags } from '../vars-flags.ts';

/** Below the 90 s that systemd waits for a service unless told otherwise. */
const DEFAULT_GRACE_MS = 75_000;

/** How long a reader may take for the end of the console. */
const LAST_WORDS_MS = 2_000;

const EXAMPLES = `
The guest's console goes to stdout. Secrets are read once, from $CREDENTIALS_DIRECTORY or the paths
that VM names. SIGTERM and Ctrl-C press the guest's power button; a second one ends it at once.
With $NOTIFY_SOCKET (Type=notify, NotifyAccess=all) the service is ready when the guest is.

Exit codes: 0 the guest powered off, by itself or when asked to; 8 its VMM died; 9 it had to be
ended by force; others mean that it was not started.

Examples:
  $ slicer check db.yaml && slicer run db.yaml
  $ slicer run web --inventory=inventory.yaml
  $ slicer run --stop-grace=2m db.yaml`;

export function configure(command: Command, context: Context): void {
  command.argument('<vm>', 'its file, YAML or JSON, or an instance of the inventory');
  addVarsFlags(command)
    .option('--stop-grace <duration>', `how long the guest may take to power off; 0s: it is not asked (default: ${formatDurationMs(DEFAULT_GRACE_MS)}, and 0s with image: tiny)`, durationMs('--stop-grace'))
    .option('--audit <path>', 'put on record what the VM is granted, reads and is refused, in this file')
    .addHelpText('after', EXAMPLES)
    .action(async (vm: string, { stopGrace, audit: auditPath, ...flags }: { stopGrace?: number; audit?: string } & InstanceFlags) => {
      const stop = stopRequests();
      const isPrivate = keepProcessPrivate(context.env['PATH'] ?? '');
      // Its error is thrown where secrets are read, unless there is one before.
      isPrivate.catch(() => undefined);
      // What takes long to load is loaded while that goes on.
      const [{ loadRunSubject }, { runVm }] = await Promise.all([import('../instance-options.ts'), import('../../run/run.ts')]);
      const uid = (process.geteuid as () => number)();
      const file = await loadRunSubject(vm, flags, context, async (sound) => {
        const { partProblems } = await import('../../run/preparation.ts');
        await isPrivate;
        return partProblems(sound, { env: context.env, uid });
      });
      const [stdout, stderr] = [unbreakable(context.stdout), unbreakable(context.stderr)];
      const audit = auditPath === undefined ? undefined : await openAudit(auditPath, context);
      const end = await runVm(file, stopGrace ?? graceOf(file), {
        env: context.env, uid,
        stop,
        isPrivate,
        audit,
        console: { stdout, stderr, clean: consoleText },
        say: (fact) => say(context, fact),
        warn: (fact) => warn(context, fact),
      }).finally(async () => {
        await audit?.close(file.name);
        leaveInTime([stdout, stderr]);
      });
      tell(context, file.name, end);
    });
}

async function openAudit(path: string, context: Context): Promise<ForegroundAudit> {
  const { ForegroundAudit } = await import('../../run/audit.ts');
  return new ForegroundAudit(resolve(path), (fact) => warn(context, fact));
}

/** busybox begins lines with a CR, which overwrites nothing there. */
const consoleText = (text: string): string => escapeLines(text.replace(/(^|\n)\r+/g, '$1'));

/** The tiny image has nothing to save, and nobody in it who would hear. */
const graceOf = ({ boot }: RunFile): number => (boot.kind === 'image' && boot.image === 'tiny' ? 0 : DEFAULT_GRACE_MS);

function tell(context: Context, name: string, { kind, reason }: RunEnd): void {
  if (kind === 'failed') throw fail('vm_failed', `vm "${name}" failed: ${reason}`);
  if (kind === 'forced') throw fail('vm_forced', `vm "${name}" did not end well: ${reason}`, 'give it more time: --stop-grace');
  say(context, `vm ${name} ended: ${reason}`);
}

function stopRequests(): StopRequests {
  const [asked, insisted] = [new AbortController(), new AbortController()];
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => (asked.signal.aborted ? insisted : asked).abort());
  }
  return { asked: asked.signal, insisted: insisted.signal };
}

/** What was written and nobody reads would keep this process after its VM. */
function leaveInTime(streams: readonly NodeJS.WriteStream[]): void {
  const leave = (): void => {
    if (streams.some(({ writableLength }) => writableLength > 0)) process.exit();
  };
  setTimeout(leave, LAST_WORDS_MS).unref();
}

/**
 * A reader of the console that goes away is not the VM's end, nor is one that stops: Node waits for a terminal
 * to take all, so that a Ctrl-S would stop the live channel too, and leave no signal heard.
 */
function unbreakable(stream: NodeJS.WritableStream): NodeJS.WriteStream {
  // Node has no other way to say so.
  (stream as { _handle?: { setBlocking?(isBlocking: boolean): void } })._handle?.setBlocking?.(false);
  return stream.removeAllListeners('error').on('error', () => undefined) as NodeJS.WriteStream;
}
