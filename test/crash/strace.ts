// System calls of a running Node process, as strace(1) sees them: recorded, and each of them struck by a
// signal or an error in a later run that does the same. strace counts calls by thread; so the process must have one
// thread for its file system calls (UV_THREADPOOL_SIZE=1) besides the main one, and an injection is for one thread.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { findCommand } from '../../image/command.ts';

export const MISSING_STRACE: string | false = findCommand('strace') === undefined ? 'strace is missing: apt-get install strace' : false;

/** What the process's environment must have. */
export const ONE_WORKER = { UV_THREADPOOL_SIZE: '1' } as const;

export type Thread = 'main' | 'worker';

export interface Call {
  readonly thread: Thread;
  readonly name: string;
  /** From 1, among the thread's calls of this name. */
  readonly ordinal: number;
  /** The line, with the paths of descriptors and the result; the values of arguments are cut short. */
  readonly text: string;
  /** Positions in the record: a call that ended before another began has the lower one. */
  readonly beganAt: number;
  readonly endedAt: number;
}

/** What happens at a call: `signal=KILL` instead of it, `error=ENOSPC` in its place. */
export interface Injection {
  readonly call: Pick<Call, 'thread' | 'name' | 'ordinal'>;
  readonly fault: string;
}

/** All calls of files and descriptors that the process `pid` makes while `act` runs, in their order. */
export async function recordCalls(pid: number, act: () => Promise<unknown>): Promise<Call[]> {
  const threads = threadsOf(pid);
  const log = await traced([...threads.keys()], ['-y', '-e', 'trace=%file,%desc'], act);
  return parseCalls(log, threads);
}

/** The line of the call that the fault struck while `act` ran; undefined when it did not come to that. */
export async function injecting(pid: number, { call, fault }: Injection, act: () => Promise<unknown>): Promise<string | undefined> {
  const tids = [...threadsOf(pid)].filter(([, thread]) => thread === call.thread).map(([tid]) => tid);
  const log = await traced(tids, ['-y', '-e', `trace=${call.name}`, '-e', `inject=${call.name}:${fault}:when=${call.ordinal}`], act);
  // A call that SIGKILL took the place of never returns.
  return log.split('\n').find((line) => line.includes('(INJECTED)') || /\) += \?$/.test(line));
}

/** Whether the call names something in `directory`, or the directory itself. */
export function touches(call: Pick<Call, 'text'>, directory: string): boolean {
  return [`${directory}/`, `${directory}"`, `${directory}>`].some((path) => call.text.includes(path));
}

async function traced(tids: readonly number[], options: readonly string[], act: () => Promise<unknown>): Promise<string> {
  const attach = tids.flatMap((tid) => ['-p', String(tid)]);
  const strace = spawn('strace', [...options, ...attach], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const attached = new Promise<void>((resolve, reject) => {
    strace.stderr.setEncoding('latin1').on('data', (chunk: string) => {
      log += chunk;
      if (tids.every((tid) => log.includes(`Process ${tid} attached`))) resolve();
    });
    strace.once('error', reject);
    strace.once('close', () => reject(new Error(`strace ended: ${log}`)));
  });
  const closed = once(strace, 'close');
  await attached;
  await act();
  // A tracee that was killed has ended strace by now, or will.
  strace.kill('SIGINT');
  await closed;
  return log;
}

function threadsOf(pid: number): Map<number, Thread> {
  const tids = readdirSync(`/proc/${pid}/task`).map(Number);
  const isWorker = (tid: number): boolean => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'latin1').trim() === 'libuv-worker';
  const workers = tids.filter(isWorker);
  if (workers.length !== 1) throw new Error(`expected one thread of libuv's in process ${pid}, found ${workers.length}`);
  return new Map([[pid, 'main'], [workers[0] as number, 'worker']]);
}

const LINE = /^\[pid +([0-9]+)\] (.*)$/;
const RESUMED = /^<\.\.\. ([a-z0-9_]+) resumed>/;
const BEGUN = /^([a-z][a-z0-9_]*)\(/;

function parseCalls(log: string, threads: ReadonlyMap<number, Thread>): Call[] {
  const calls: { -readonly [Key in keyof Call]: Call[Key] }[] = [];
  const counts = new Map<string, number>();
  const open = new Map<Thread, number>();
  log.split('\n').forEach((line, position) => {
    const [, tid, text = ''] = LINE.exec(line) ?? [];
    const thread = threads.get(Number(tid));
    if (thread === undefined) return;
    if (RESUMED.test(text)) {
      const call = calls[open.get(thread) ?? -1];
      if (call === undefined) return;
      call.endedAt = position;
      call.text += text;
      return;
    }
    const name = BEGUN.exec(text)?.[1];
    if (name === undefined) return;
    const key = `${thread} ${name}`;
    const ordinal = (counts.get(key) ?? 0) + 1;
    counts.set(key, ordinal);
    open.set(thread, calls.push({ thread, name, ordinal, text, beganAt: position, endedAt: position }) - 1);
  });
  return calls;
}

