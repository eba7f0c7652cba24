// The agents of many VMs: real ones, a process each, or simulated ones, all in one process.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, mkdirSync, rmSync, watch, type FSWatcher } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as immediate } from 'node:timers/promises';
import { processorMs } from '../process-cost.ts';

const AGENT = resolve(import.meta.dirname, '../../build/slicer-agent-x86_64');

export interface Agents {
  /** When the last agent had the `files` that were sent in one answer since the last call, or the start: hrtime, nanoseconds. */
  round(files: number): Promise<bigint>;
  processorMs(): number;
  stop(): Promise<void>;
}

/** Simulated agents behind the sockets `first` to `first + count - 1`; they listen when this resolves. */
export async function simulatedAgents(sockets: string, first: number, count: number): Promise<Agents> {
  const build = mkdtempSync('/dev/shm/slicer-load-agents-');
  const program = join(build, 'simulated-agents');
  execFileSync('gcc', ['-O2', '-o', program, resolve(import.meta.dirname, 'simulated-agents.c')]);
  const child = spawn(program, [sockets, String(first), String(count)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next() as IteratorResult<string, undefined>;
    if (done === true) throw new Error('the simulated agents ended');
    return value;
  };
  await next();
  return {
    round: async () => BigInt((await next()).split(' ')[2] as string),
    processorMs: () => processorMs(child.pid as number),
    async stop() {
      await ended([child]);
      rmSync(build, { recursive: true });
    },
  };
}

/** The agent itself, a process for each socket. It has what was put in place in its directory. */
export async function realAgents(sockets: string, count: number): Promise<Agents> {
  const directory = mkdtempSync('/dev/shm/slicer-load-guests-');
  const watchers: FSWatcher[] = [];
  const children: ChildProcess[] = [];
  let placed = 0;
  let awaited = 0;
  let last = 0n;
  let over = (): void => {};
  // Files are staged in another directory, and each is renamed into this one once; the agent also sets the directory's own mode.
  const onEvent = (event: string, file: string | null): void => {
    if (event !== 'rename' || file === 'secrets') return;
    placed += 1;
    last = process.hrtime.bigint();
    if (placed === awaited) over();
  };
  for (let number = 0; number < count; number += 1) {
    const own = join(directory, String(number));
    mkdirSync(join(own, 'secrets'), { recursive: true });
    watchers.push(watch(join(own, 'secrets'), onEvent));
    const paths = [`--dir=${own}/secrets`, `--credstore=${own}/credentials`, `--socket=${join(sockets, String(number))}`];
    children.push(spawn(AGENT, ['run', ...paths], { stdio: 'ignore' }));
    // Events are read meanwhile: the kernel keeps no more than 16,384, and drops the others.
    await immediate();
  }
  return {
    async round(files) {
      awaited += files * count;
      if (placed < awaited) await new Promise<void>((resolve_) => (over = resolve_));
      return last;
    },
    processorMs: () => children.reduce((sum, { pid }) => sum + processorMs(pid as number), 0),
    async stop() {
      for (const watcher of watchers) watcher.close();
      await ended(children);
      rmSync(directory, { recursive: true });
    },
  };
}

async function ended(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(children.map(async (child) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }));
}
