// `slicer run` as a user has it, in a directory of its own, with a service manager that can be asked what it
// was told. At its end nothing may be left.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cpioArchive } from '../../image/cpio.ts';
import { findTinyImage, TINY_CMDLINE } from '../../image/tiny.ts';
import { chooseRuntimeDirectory, memoryDirectories } from '../../src/vm/runtime-directory.ts';
import { ROOT } from './parts.ts';
import { LIMIT_MS } from './patience.ts';
import { allProcesses, untilGone } from './processes.ts';

export interface RunningVm {
  readonly process: ChildProcess;
  /** Both streams so far. */
  output(): string;
  until(pattern: RegExp): Promise<void>;
  /** Sends the signal, if any, and resolves with the exit code once it ended. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

export class Foreground {
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), 'slicer-run-')));
  readonly notifySocket = join(this.directory, 'notify.sock');
  #manager: ChildProcess | undefined;
  #told = '';

  path(name: string): string {
    return join(this.directory, name);
  }

  put(name: string, content: string | Uint8Array, mode = 0o600): void {
    writeFileSync(this.path(name), content);
    chmodSync(this.path(name), mode);
  }

  async startManager(): Promise<void> {
    const program = compile('test/run/datagram-receiver.c', this.path('receiver'));
    this.#manager = spawn(program, [this.notifySocket], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#manager.stdout?.setEncoding('latin1').on('data', (text: string) => { this.#told += text; });
    await once(this.#manager.stdout as NodeJS.ReadableStream, 'data');
  }

  /** The fields that the service manager was told, without those that systemd-notify adds of itself. */
  told(): string[] {
    return this.#told.split(/[\0\n]/).filter((field) => field !== '' && !/^MAINPID=\d+$/.test(field));
  }

  /** What it is told after the first `from` fields, once it is `count` of them: the messenger is a process of its own. */
  async untilTold(from: number, count: number): Promise<string[]> {
    while (this.told().length < from + count) await once(this.#manager?.stdout as NodeJS.ReadableStream, 'data', { signal: AbortSignal.timeout(LIMIT_MS) });
    return this.told().slice(from);
  }

  run(args: readonly string[], env: Readonly<Record<string, string>> = {}): RunningVm {
    const { PATH = '', HOME, SLICER_CACHE } = process.env;
    const kept = Object.fromEntries(Object.entries({ HOME, SLICER_CACHE }).filter(([, value]) => value !== undefined));
    const child = spawn(join(ROOT, 'bin/slicer'), args, {
      cwd: this.directory, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...kept, PATH: `${dirname(process.execPath)}:${PATH}`, ...env },
    });
    let text = '';
    let wake: () => void = () => undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        wake();
      });
    }
    let isOver = false;
    const ended = once(child, 'close').then(([code]) => {
      isOver = true;
      wake();
      return code as number | null;
    });
    return {
      process: child,
      output: () => text,
      until: async (pattern) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
        while (!pattern.test(text)) {
          assert.ok(!isOver, `it ended without ${pattern}:\n${text}`);
          await new Promise<void>((resolve) => { wake = resolve; });
        }
        clearTimeout(timer);
      },
      end: async (signal) => {
        if (signal !== undefined) child.kill(signal);
        return ended;
      },
    };
  }

  /** Where the VM of this name has its sockets. */
  async runtimeDirectory(name: string): Promise<string> {
    return join(await chooseRuntimeDirectory('slicer run', process.geteuid?.() as number, memoryDirectories(process.env)), name);
  }

  /** Processes of the VM of this name, `slicer run` itself not among them. */
  async processes(name: string): Promise<number[]> {
    const mark = `SLICER_VM=${await this.runtimeDirectory(name)}\0`;
    return allProcesses().filter(({ environ }) => environ.includes(mark)).map(({ pid }) => pid);
  }

  async close(): Promise<void> {
    this.#manager?.kill();
    const left = await untilGone(this.directory);
    rmSync(this.directory, { recursive: true });
    assert.deepEqual(left.map(({ pid, cmdline }) => `${pid} ${cmdline}`), []);
  }
}

/** The path of the program, static, so that a guest can run it too. */
export function compile(source: string, target: string): string {
  execFileSync('gcc', ['-static', '-O1', '-s', '-Wall', '-Werror', '-o', target, join(ROOT, source)]);
  return target;
}

const CPIO_BLOCK = 512;

/**
 * Lines of a run file for the tiny guest with a script that init runs besides the agent, and files for it. A
 * guest of one's own as far as Slicer knows.
 */
export async function guestWith(foreground: Foreground, script: string, files: Readonly<Record<string, Uint8Array>> = {}): Promise<string> {
  const { kernel, initrd } = await findTinyImage();
  const inittab = readFileSync(join(ROOT, 'image/tiny/inittab'), 'utf8');
  const archive = cpioArchive([
    { type: 'file', path: 'etc/inittab', mode: 0o644, data: Buffer.from(`${inittab}::once:/etc/test-script\n`) },
    { type: 'file', path: 'etc/test-script', mode: 0o755, data: Buffer.from(`#!/bin/sh\nexec > /dev/console 2>&1\n${script}\n`) },
    ...Object.entries(files).map(([path, data]) => ({ type: 'file', path, mode: 0o755, data }) as const),
  ]);
  // The kernel unpacks archives one after the other, each on a block of its own; later files replace earlier ones.
  const padding = Buffer.alloc((CPIO_BLOCK - (archive.length % CPIO_BLOCK)) % CPIO_BLOCK);
  const name = `initrd-${createHash('sha256').update(archive).digest('hex').slice(0, 8)}`;
  if (!existsSync(foreground.path(name))) foreground.put(name, Buffer.concat([readFileSync(initrd), archive, padding]));
  return `kernel: ${kernel}\ninitrd: ${name}\ncmdline: ${TINY_CMDLINE}\nmem: 192\n`;
}
