// Runs a change in a process of its own, and strikes it at one of its system calls.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Operation, Outcome, Refusal } from './operation.ts';
import { OPERATIONS } from './operations.ts';
import { injecting, ONE_WORKER, recordCalls, touches, type Call } from './strace.ts';

const PROGRAM = join(import.meta.dirname, 'operation-process.ts');

const recorded = new Map<string, Promise<readonly Call[]>>();

/** What the change does: the calls that touch its directory, and that of the acknowledgement at the end. */
export function callsOf(title: string): Promise<readonly Call[]> {
  const known = recorded.get(title) ?? record(title);
  recorded.set(title, known);
  return known;
}

function record(title: string): Promise<readonly Call[]> {
  return inDirectory(title, async (directory) => {
    const victim = await begin(title, directory);
    const calls = await recordCalls(victim.pid, victim.go);
    const { outcome, problem } = await victim.ended;
    if (outcome !== 'made') throw new Error(`${title}: ${problem?.message}`);
    await operationOf(title).check(directory, 'made');
    // The directory's parent too: a directory is made, and made durable, there.
    return calls.filter((call) => touches(call, join(directory, '..')) || isAcknowledgement(call));
  });
}

/** Whether a file system may refuse it. */
export const isChange = ({ name, text }: Call): boolean => CHANGING.includes(name) || (name === 'openat' && text.includes('O_CREAT'));

const CHANGING = ['write', 'fchmod', 'fchown', 'chmod', 'fsync', 'fdatasync', 'link', 'rename', 'unlink', 'unlinkat', 'mkdir', 'rmdir'];

export const isAcknowledgement = ({ name, text }: Pick<Call, 'name' | 'text'>): boolean => name === 'writev' && text.startsWith('writev(1<');

/**
 * The event loop wakes itself through write(2), under load less often: a call may have another number than in
 * the record. So what was struck is looked at, and where it is none of the directory's the next number is tried.
 */
const OTHER_NUMBERS = [0, 0, 1, -1, 2, -2];
const OTHER_NUMBERS_OF_WRITES = [...OTHER_NUMBERS, ...OTHER_NUMBERS, ...OTHER_NUMBERS];

/** Makes the change with `fault` at `call`, and checks what a later process finds. */
export async function strike(title: string, call: Pick<Call, 'thread' | 'name' | 'ordinal'>, fault: string): Promise<Struck> {
  let struck: Struck | undefined;
  for (const more of call.name === 'write' ? OTHER_NUMBERS_OF_WRITES : OTHER_NUMBERS) {
    const ordinal = call.ordinal + more;
    if (ordinal < 1) continue;
    struck = await strikeOnce(title, { ...call, ordinal }, fault);
    if (struck.struck) return struck;
  }
  return struck as Struck;
}

async function strikeOnce(title: string, call: Pick<Call, 'thread' | 'name' | 'ordinal'>, fault: string): Promise<Struck> {
  return inDirectory(title, async (directory) => {
    const victim = await begin(title, directory);
    const line = await injecting(victim.pid, { call, fault }, victim.go);
    const { outcome, problem } = await victim.ended;
    const text = line ?? '';
    const struck = touches({ text }, join(directory, '..')) || isAcknowledgement({ name: call.name, text });
    // An error that struck the event loop itself is not the file system's.
    if (!struck && line !== undefined && fault.startsWith('error=')) return { struck, outcome, problem };
    try {
      // What is made but may not last is said to be so, and told as an error.
      await operationOf(title).check(directory, problem?.message.includes('is made, but') ? 'unknown' : outcome);
    } catch (error) {
      throw new Error(`${title}, ${fault} at ${call.name} ${call.ordinal} of the ${call.thread} thread: ${(error as Error).message}`);
    }
    return { struck, outcome, problem };
  });
}

export interface Struck {
  /** Whether the call came. */
  readonly struck: boolean;
  readonly outcome: Outcome;
  readonly problem: Refusal | undefined;
}

interface Victim {
  readonly pid: number;
  /** Resolves when the change was acknowledged or refused, or the process is no more. */
  readonly go: () => Promise<unknown>;
  readonly ended: Promise<Omit<Struck, 'struck'>>;
}

async function begin(title: string, directory: string): Promise<Victim> {
  const child = spawn(process.execPath, [PROGRAM, title, directory], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...ONE_WORKER } });
  child.stdin.on('error', () => undefined);
  const exit = once(child, 'close');
  const said: { readonly state: string; readonly problem?: Refusal }[] = [];
  const lines = createInterface({ input: child.stdout }).on('line', (line) => void said.push(JSON.parse(line)));
  await Promise.race([once(lines, 'line'), exit.then(() => { throw new Error(`${title}: its process ended at once`); })]);
  return {
    pid: child.pid as number,
    go: () => {
      const answered = Promise.race([once(lines, 'line'), exit]);
      child.stdin.write('go\n');
      return answered;
    },
    ended: exit.then(() => {
      const last = said.at(-1);
      return { outcome: last?.state === 'made' || last?.state === 'refused' ? last.state : 'unknown', problem: last?.problem };
    }),
  };
}

const operationOf = (title: string): Operation => OPERATIONS[title] as Operation;

async function inDirectory<T>(title: string, use: (directory: string) => Promise<T>): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), 'slicer-crash-'));
  try {
    const directory = join(scratch, 'struck');
    await operationOf(title).prepare(directory);
    return await use(directory);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
