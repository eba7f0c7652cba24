// A Slicer of the benchmark's own, as users have it: the bundle, a store on disk, a real VM. The guest is
// the tiny image with the reference client in it, where a script runs what the agent's init would.
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cpioArchive } from '../image/cpio.ts';
import { findTinyImage } from '../image/tiny.ts';

const ROOT = resolve(import.meta.dirname, '..');
const SLICER = join(ROOT, 'bin/slicer');
const INITTAB = '::sysinit:/etc/init.d/boot\n::once:/etc/init.d/late\n::once:/bench/run\n';
const CPIO_BLOCK = 512;
const START_MS = 10_000;
const RESULTS_MS = 600_000;

export class Lab {
  readonly directory = mkdtempSync(join(tmpdir(), 'slicer-bench-'));
  #daemon: ChildProcess | undefined;

  /** `groups` are host groups with the rounds that their guests run. */
  async start(groups: Readonly<Record<string, number>>): Promise<void> {
    const { initrd } = await findTinyImage();
    const references = ['reference', 'reference-agent'].map((name) => ({ name, data: compiled(this.directory, name) }));
    const lines = Object.entries(groups).flatMap(([name, rounds]) => {
      const image = join(this.directory, `initrd-${name}`);
      // The kernel unpacks archives one after the other: later files replace earlier ones.
      writeFileSync(image, Buffer.concat([readFileSync(initrd), guestFiles(references, rounds)]));
      return [`    - name: ${name}`, '      count: 0', '      vcpu: 1', '      ram_mb: 256', '      secrets: none', `      image: ${image}`];
    });
    await this.serve(lines);
  }

  /** `groups`: host groups as lines of slicer.yaml. */
  async serve(groups: readonly string[]): Promise<void> {
    writeFileSync(join(this.directory, 'slicer.yaml'), ['config:', '  host_groups:', ...groups, '  api:', '    bind_address: ./slicer.sock', ''].join('\n'));
    this.#daemon = spawn(SLICER, ['up'], { cwd: this.directory, stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, SLICER_LOG_LEVEL: 'warn' } });
    const deadline = Date.now() + START_MS;
    while (!existsSync(join(this.directory, 'slicer.sock'))) {
      if (Date.now() > deadline) throw new Error('slicer up made no socket');
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }

  slicer(args: readonly string[], input: string | Uint8Array = ''): string {
    const { status, stdout, stderr } = spawnSync(SLICER, args, { cwd: this.directory, input, encoding: 'utf8' });
    if (status !== 0) throw new Error(`slicer ${args.join(' ')} failed:\n${stderr}`);
    return stdout;
  }

  /** Where the guest's connections to port P arrive as `PATH_P`. */
  vsockPath(hostname: string): string {
    const record = JSON.parse(readFileSync(join(this.directory, '.slicer/vms', hostname, 'vm.json'), 'utf8')) as { runtime_directory: string };
    return join(record.runtime_directory, 'vm.vsock');
  }

  /** Numbers that the guest printed, by name, once it printed `ready`. */
  async results(hostname: string): Promise<ReadonlyMap<string, readonly number[]>> {
    const log = join(this.directory, '.slicer/vms', hostname, 'console.log');
    const deadline = Date.now() + RESULTS_MS;
    for (;;) {
      const found = new Map<string, number[]>();
      for (const [, name = '', number] of readFileSync(log, 'latin1').matchAll(/bench ([a-z-]+) ([0-9.e+-]+)/g)) {
        found.set(name, [...(found.get(name) ?? []), Number(number)]);
      }
      if (found.has('ready')) return found;
      if (Date.now() > deadline) throw new Error(`${hostname} is not ready after ${RESULTS_MS / 1000} s`);
      await new Promise((wake) => setTimeout(wake, 200));
    }
  }

  async stop(): Promise<void> {
    if (this.#daemon !== undefined && this.#daemon.exitCode === null) {
      this.#daemon.kill('SIGTERM');
      await once(this.#daemon, 'exit');
    }
    rmSync(this.directory, { recursive: true });
  }
}

function compiled(directory: string, name: string): Uint8Array {
  const path = join(directory, name);
  execFileSync('gcc', ['-O2', '-static', '-o', path, join(ROOT, `bench/${name}.c`)]);
  return readFileSync(path);
}

/** What the guest has besides the tiny image. */
function guestFiles(references: readonly { name: string; data: Uint8Array }[], rounds: number): Buffer {
  const archive = cpioArchive([
    { type: 'file', path: 'etc/inittab', mode: 0o644, data: Buffer.from(INITTAB) },
    { type: 'directory', path: 'bench', mode: 0o755 },
    { type: 'file', path: 'bench/run', mode: 0o755, data: readFileSync(join(ROOT, 'bench/guest-script.sh')) },
    { type: 'file', path: 'bench/rounds', mode: 0o644, data: Buffer.from(String(rounds)) },
    ...references.map(({ name, data }) => ({ type: 'file', path: `bench/${name}`, mode: 0o755, data }) as const),
  ]);
  return Buffer.concat([archive, Buffer.alloc((CPIO_BLOCK - (archive.length % CPIO_BLOCK)) % CPIO_BLOCK)]);
}
