// A daemon under measurement, as users run it: the bundle in a directory of its own, which can be told to
// collect its garbage.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { createClient, type SlicerClient } from '../src/client/slicer-client.ts';
import { objectBytes } from './heap-objects.ts';
import { processorMs, residentBytes } from './process-cost.ts';

const SLICER = resolve(import.meta.dirname, '../bin/slicer');
const COLLECTOR = resolve(import.meta.dirname, 'collector.cjs');
const START_MS = 10_000;
export const SECRET_BYTES = 1024;

/** Of a secret, as the API takes it. */
export const newValue = (): string => randomBytes(SECRET_BYTES).toString('base64');

export class MeasuredDaemon {
  readonly directory: string;
  readonly client: SlicerClient;
  readonly #process: ChildProcess;

  /** `groups`: host groups as lines of slicer.yaml. */
  constructor(directory: string, groups: readonly string[]) {
    this.directory = directory;
    this.client = createClient({ addresses: [{ kind: 'unix', path: join(directory, 'slicer.sock') }], token: undefined });
    writeFileSync(join(directory, 'slicer.yaml'), ['config:', '  host_groups:', ...groups, '  api:', '    bind_address: ./slicer.sock', ''].join('\n'));
    this.#process = spawn(process.execPath, [SLICER, 'up'], {
      cwd: directory, stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      env: { ...process.env, SLICER_LOG_LEVEL: 'error', NODE_OPTIONS: `--expose-gc --require=${COLLECTOR} ${process.env['NODE_OPTIONS'] ?? ''}` },
    });
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (!existsSync(join(this.directory, 'slicer.sock'))) {
      if (Date.now() > deadline || this.#process.exitCode !== null) throw new Error('slicer up made no socket');
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  /** Gives the secret another value. Returns the VMs that do not hold it after `waitMs`. */
  async change(name: string, waitMs: number): Promise<readonly string[]> {
    const { delivery } = await this.client.updateSecret(name, { data: newValue() }, waitMs);
    if (delivery === undefined) throw new Error(`nobody was waited for with "${name}"`);
    return delivery.pending;
  }

  processorMs(): number {
    return processorMs(this.pid);
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Without garbage: what is resident, and what objects, buffers and compiled code take. */
  async memory(): Promise<{ residentBytes: number; heapBytes: number }> {
    const { heapBytes } = await this.#ask('SIGUSR2') as { heapBytes: number };
    return { residentBytes: residentBytes(this.pid), heapBytes };
  }

  /** What objects and buffers take; it stands still for a second meanwhile. */
  async objectBytes(): Promise<number> {
    const { path } = await this.#ask('SIGUSR1') as { path: string };
    const bytes = objectBytes(path);
    rmSync(path);
    return bytes;
  }

  async #ask(signal: NodeJS.Signals): Promise<unknown> {
    const said = once(this.#process.stdio[3] as Readable, 'data');
    this.#process.kill(signal);
    const [line] = await said as [Buffer];
    return JSON.parse(line.toString());
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await exit;
  }
}
