// Says which names in a directory something happened to, without polling (inotify, through fs.watch).
// The kernel drops events when its queue of 16384 overflows, and Node does not tell. So every stir is
// followed by one sweep over the whole directory: whatever was dropped, events around it were not.
import { watch } from 'node:fs';
import type { Clock } from './clock.ts';

/** How long after the first stir the sweep comes; it keeps a busy directory from being listed all the time. */
const SWEEP_MS = 500;

export interface WatchHandlers {
  /** Names that something happened to; events of one turn of the event loop come together. */
  readonly onStir: (files: ReadonlySet<string>) => void;
  readonly onSweep: () => void;
}

/** Watches until the result is called. Throws the system call's error. */
export function watchDirectory(path: string, clock: Clock, handlers: WatchHandlers): () => void {
  let stirred = new Set<string>();
  let deliver: NodeJS.Immediate | undefined;
  let cancelSweep: (() => void) | undefined;
  const watcher = watch(path, (_event, file) => {
    if (file !== null) stirred.add(file);
    deliver ??= setImmediate(() => {
      const files = stirred;
      stirred = new Set();
      deliver = undefined;
      handlers.onStir(files);
    });
    cancelSweep ??= clock.after(SWEEP_MS, () => {
      cancelSweep = undefined;
      handlers.onSweep();
    });
  });
  // The directory went away under the watch: the sweep that its last events ask for sees that.
  watcher.on('error', () => undefined);
  return () => {
    watcher.close();
    clearImmediate(deliver);
    cancelSweep?.();
  };
}
