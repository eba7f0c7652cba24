// The bare server of the reference, as the benchmark holds it.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Archives } from '../../src/live/archives.ts';
import { scopeOf } from '../../src/live/scope.ts';
import { viewOf } from '../../src/live/view.ts';
import { DEFAULT_ATTRIBUTES } from '../../src/secret/file-attributes.ts';
import type { SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import { processorMs } from '../process-cost.ts';

export class BareHost {
  /** VM N's VSOCK socket is `N` here. */
  readonly sockets = mkdtempSync('/dev/shm/slicer-load-');
  readonly #server: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #archive = join(this.sockets, 'archive');

  constructor() {
    this.#server = spawn(process.execPath, [resolve(import.meta.dirname, 'bare-server.ts'), this.sockets], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#server.stdout as NonNullable<ChildProcess['stdout']>)[Symbol.asyncIterator]();
  }

  async listen(first: number, count: number): Promise<void> {
    this.#server.stdin?.write(`listen ${first} ${count}\n`);
    await this.#line();
  }

  /** Makes the sessions with agents that listen. */
  async open(first: number, count: number): Promise<void> {
    this.#server.stdin?.write(`open ${first} ${count}\n`);
    await this.#line();
  }

  /** What `change` sends: the archive that the host makes of these secrets. */
  async prepare(values: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const secrets = new Map([...values].map(([name, bytes]) => [name as SecretName, {
      name: name as SecretName, value: new Secret(bytes), attributes: DEFAULT_ATTRIBUTES, modifiedAtMs: Date.now(), version: 1,
    }]));
    const view = viewOf({ counter: 1, secrets, removed: new Map() }, scopeOf('all', []));
    writeFileSync(this.#archive, await new Archives().offer(view, undefined).take());
  }

  /** Answers all polls with what was prepared, and tells when it begins: hrtime, nanoseconds. */
  async change(): Promise<bigint> {
    this.#server.stdin?.write(`send ${this.#archive}\n`);
    return BigInt((await this.#line()).split(' ')[1] as string);
  }

  processorMs(): number {
    return processorMs(this.#server.pid as number);
  }

  async stop(): Promise<void> {
    if (this.#server.exitCode === null) {
      const exit = once(this.#server, 'exit');
      this.#server.kill('SIGKILL');
      await exit;
    }
    rmSync(this.sockets, { recursive: true });
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next() as IteratorResult<string, undefined>;
    if (done === true) throw new Error('the bare server ended');
    return value;
  }
}
