// The daemon under load, as users run it: the bundle, a store on disk, VMs attached over its API.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync, renameSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { createClient, type SlicerClient } from '../../src/client/slicer-client.ts';
import { processorMs, residentBytes } from './process-cost.ts';

const SLICER = resolve(import.meta.dirname, '../../bin/slicer');
const COLLECTOR = resolve(import.meta.dirname, 'collector.cjs');
const START_MS = 10_000;
/** Attached at a time. */
const ATTACH_WIDTH = 16;

export class LoadHost {
  /** On tmpfs, as a VM's sockets are; the store is below it, too, so that no figure is a disk's. */
  readonly directory = mkdtempSync('/dev/shm/slicer-load-');
  /** VM N's VSOCK socket is `sockets/N`. */
  readonly sockets = join(this.directory, 's');
  readonly client: SlicerClient = createClient({ addresses: [{ kind: 'unix', path: join(this.directory, 'slicer.sock') }], token: undefined });
  readonly #daemon: ChildProcess;
  #prepared = 0;

  constructor() {
    mkdirSync(this.sockets);
    mkdirSync(join(this.directory, 'next'));
    writeFileSync(join(this.directory, 'slicer.yaml'), 'config:\n  host_groups:\n    - {name: none, count: 0, vcpu: 1, ram_mb: 64, secrets: none}\n  api:\n    bind_address: ./slicer.sock\n');
    this.#daemon = spawn(process.execPath, [SLICER, 'up'], {
      cwd: this.directory, stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      env: { ...process.env, SLICER_LOG_LEVEL: 'warn', NODE_OPTIONS: `--expose-gc --require=${COLLECTOR}` },
    });
  }

  get pid(): number {
    return this.#daemon.pid as number;
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (!existsSync(join(this.directory, 'slicer.sock'))) {
      if (Date.now() > deadline) throw new Error('slicer up made no socket');
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  /** `count` VMs from `first` on, each granted these secrets. */
  async attach(first: number, count: number, secrets: readonly string[]): Promise<void> {
    let next = first;
    await Promise.all(Array.from({ length: ATTACH_WIDTH }, async () => {
      while (next < first + count) {
        const number = next++;
        await this.client.attachNode({ hostname: `load-${number + 1}`, vsock: join(this.sockets, String(number)), secrets: [...secrets] });
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
    process.kill(this.pid, 'SIGSTOP');
    for (const name of names) renameSync(join(this.directory, 'next', name), join(this.directory, '.secrets', name));
    process.kill(this.pid, 'SIGCONT');
    return process.hrtime.bigint();
  }

  processorMs(): number {
    return processorMs(this.pid);
  }

  /** Resident memory without garbage, and the engine's own account of it. */
  async memory(): Promise<{ residentBytes: number; heapBytes: number }> {
    const said = once(this.#daemon.stdio[3] as Readable, 'data');
    this.#daemon.kill('SIGUSR2');
    const [line] = await said as [Buffer];
    const { heapUsed, external } = JSON.parse(line.toString()) as NodeJS.MemoryUsage;
    return { residentBytes: residentBytes(this.pid), heapBytes: heapUsed + external };
  }

  async stop(): Promise<void> {
    if (this.#daemon.exitCode === null) {
      this.#daemon.kill('SIGTERM');
      await once(this.#daemon, 'exit');
    }
    rmSync(this.directory, { recursive: true });
  }
}
