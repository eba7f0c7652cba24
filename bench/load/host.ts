// The daemon under load: VMs that something else started, attached over its API, and a store to change.
import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeasuredDaemon } from '../measured-daemon.ts';

const NO_GROUPS = ['    - {name: none, count: 0, vcpu: 1, ram_mb: 64, secrets: none}'];
/** Attached at a time. */
const ATTACH_WIDTH = 16;

export class LoadHost {
  /** On tmpfs, as a VM's sockets are; the store is below it, too, so that no figure is a disk's. */
  readonly directory = mkdtempSync('/dev/shm/slicer-load-');
  /** VM N's VSOCK socket is `N` here. */
  readonly sockets = join(this.directory, 's');
  readonly daemon: MeasuredDaemon;
  #prepared = 0;

  constructor() {
    mkdirSync(this.sockets);
    mkdirSync(join(this.directory, 'next'));
    this.daemon = new MeasuredDaemon(this.directory, NO_GROUPS);
  }

  /** `count` VMs from `first` on, each granted these secrets. */
  async attach(first: number, count: number, secrets: readonly string[]): Promise<void> {
    let next = first;
    await Promise.all(Array.from({ length: ATTACH_WIDTH }, async () => {
      while (next < first + count) {
        const number = next++;
        const vm = { hostname: `load-${number + 1}`, vsock: join(this.sockets, String(number)), secrets: [...secrets] };
        await this.daemon.client.attachNode(vm);
      }
    }));
  }

  /** Values that become the store's with `change`, old enough not to be waited for. */
  prepare(values: ReadonlyMap<string, Uint8Array>): void {
    this.#prepared += 1;
    const written = new Date(Date.now() - 1000 + this.#prepared);
    for (const [name, value] of values) {
      const file = join(this.directory, 'next', name);
      writeFileSync(file, value, { mode: 0o600 });
      utimesSync(file, written, written);
    }
  }

  /** Renames what was prepared into the store, all as one change, and tells when the daemon could see it: hrtime, nanoseconds. */
  change(names: Iterable<string>): bigint {
    process.kill(this.daemon.pid, 'SIGSTOP');
    for (const name of names) renameSync(join(this.directory, 'next', name), join(this.directory, '.secrets', name));
    process.kill(this.daemon.pid, 'SIGCONT');
    return process.hrtime.bigint();
  }

  processorMs(): number {
    return this.daemon.processorMs();
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
    rmSync(this.directory, { recursive: true });
  }
}
