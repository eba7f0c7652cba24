// The console of a VM: what its guest and its VMM write goes through a process of the VM's own into two
// files of bounded size, `console.log` and the older `console.log.1`, also while no daemon runs.
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { ProcessPlan } from '../vmm/contract.ts';
import type { ConsoleLog } from './contract.ts';
import { startProcess, type WatchedProcess } from './watched-process.ts';

/** Bytes that are kept of one console, both files together. */
const CONSOLE_MAX_BYTES = 1024 * 1024;

/** How often a read starts anew when the log moves on to its next file meanwhile. */
const READ_ATTEMPTS = 5;

type Target = 'pipe' | Writable;

/** What takes all that a VM's processes write. */
export interface VmConsole {
  /** Its own process, where it has one. */
  readonly process?: WatchedProcess;
  /** What a process is to have as stdout and stderr. */
  targetsOf(plan: Pick<ProcessPlan, 'filtersStderr'>): readonly [Target, Target];
  /** A process was started, with the other ends of the pipes that it was to have. */
  started?(plan: Pick<ProcessPlan, 'filtersStderr'>, stdout: Readable, stderr: Readable): void;
  /** All processes have what they are to have: their end is the console's. */
  release(): void;
  /** The last lines, without the carriage returns of a terminal. */
  lastLines(count: number): Promise<readonly string[]>;
}

/** Starts the process that writes the log: the agent's binary in its host mode `console`. */
export async function startConsole(
  vmDirectory: string,
  programs: { readonly agent: string; readonly setpriv: string },
  filters = false,
): Promise<VmConsole> {
  const file = consoleFile(vmDirectory);
  // What the writer itself complains about goes where somebody will look.
  const complaints = await open(file, 'a', 0o600);
  try {
    const { process, pipes: [stdin, , , diagnostics] } = await startProcess({
      role: 'console',
      program: programs.agent,
      argv: ['console', '--file', file, '--max-bytes', String(CONSOLE_MAX_BYTES), ...(filters ? ['--diagnostics-fd', '3'] : [])],
      stdio: ['pipe', 'ignore', complaints.fd, ...(filters ? ['pipe' as const] : [])],
      vmDirectory,
      setpriv: programs.setpriv,
    });
    const sink = stdin as Writable;
    return {
      process,
      // What may repeat a value goes through the filter, and the log has it without.
      targetsOf: ({ filtersStderr }) => [sink, filtersStderr ? diagnostics as Writable : sink],
      release: () => {
        sink.destroy();
        diagnostics?.destroy();
      },
      lastLines: (count) => readLastLines(vmDirectory, count),
    };
  } finally {
    await complaints.close();
  }
}

/** The last `lines` lines, all that are kept for 0. A log that is not there is empty. */
export async function readConsole(vmDirectory: string, lines: number): Promise<ConsoleLog> {
  const text = (await readFiles(consoleFile(vmDirectory))).toString('utf8');
  const all = text.split('\n');
  if (all.at(-1) === '') all.pop();
  const kept = lines === 0 ? all : all.slice(-lines);
  return { lines: kept.length, content: kept.map((line) => `${line}\n`).join('') };
}

/** The same as separate lines, without the carriage returns of a terminal. */
export async function readLastLines(vmDirectory: string, lines: number): Promise<readonly string[]> {
  const { content } = await readConsole(vmDirectory, lines);
  return content.split('\n').slice(0, -1).map(withoutReturns);
}

/** Counted from the end: a regular expression would try each of a million of them, and take hours for a guest's joke. */
export function withoutReturns(line: string): string {
  let end = line.length;
  while (line[end - 1] === '\r') end -= 1;
  return line.slice(0, end);
}

function consoleFile(vmDirectory: string): string {
  return join(vmDirectory, 'console.log');
}

async function readFiles(file: string): Promise<Buffer> {
  for (let attempt = 1; ; attempt += 1) {
    let current: FileHandle;
    try {
      current = await open(file, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // Between the rename of the full file and the first write of the next there is only the older one.
      const older = await readIfThere(`${file}.1`);
      if (older.byteLength === 0 || attempt === READ_ATTEMPTS) return older;
      continue;
    }
    try {
      const { ino } = await current.stat();
      const older = await readIfThere(`${file}.1`);
      const newer = await current.readFile();
      const moved = await stat(file).then((stats) => stats.ino !== ino, () => true);
      if (!moved || attempt === READ_ATTEMPTS) return Buffer.concat([older, newer]);
    } finally {
      await current.close();
    }
  }
}

function readIfThere(file: string): Promise<Buffer> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
}
