// Processes of a VM, started so that they outlive the one who starts them: each leads a session of its
// own, has no terminal, sees nothing of this one's environment or descriptors, and has no right that its work does
// not take (privileges.ts). It leaves no core dump, which would hold the guest's memory and secrets with it, since
// this one leaves none (private-process.ts): that limit is inherited.
import { spawn, type StdioOptions } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex, Readable, Writable } from 'node:stream';
import { inheritedDescriptors } from './inherited-descriptors.ts';
import { isAlive, PROCESS_MARK, startTimeOf } from './process-table.ts';
import { setprivArguments, type Privileges } from './privileges.ts';
import type { ProcessIdentity, ProcessRole } from './record.ts';

export interface WatchedProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when it ended, with how: "ended with exit code 1", "was ended by SIGKILL". */
  readonly ended: Promise<string>;
}

export const ENDED_WELL = 'ended with exit code 0';

export interface StartOptions extends Privileges {
  readonly role: ProcessRole;
  readonly program: string;
  readonly argv: readonly string[];
  /** stdin, stdout, stderr, then what the process inherits as descriptors 3 and on. */
  readonly stdio: readonly ('ignore' | 'pipe' | number | Writable | Readable)[];
  /** The VM's directory; the process is known by it after a crash of its parent. */
  readonly vmDirectory: string;
  /** Absolute path of util-linux's setpriv. */
  readonly setpriv: string;
  /** Whether the kernel is to kill the process when this one ends, however it does. */
  readonly endsWithThis?: boolean;
}

/** Resolves when the program was executed. Throws what spawn(2) says. */
export async function startProcess(options: StartOptions): Promise<{ process: WatchedProcess; pipes: readonly (Duplex | null)[] }> {
  const nothing = openSync('/dev/null', 'r+');
  const leash = options.endsWithThis === true ? ['--pdeathsig', 'KILL'] : [];
  const privileges = setprivArguments(options, process.geteuid?.() === 0);
  const child = spawn(options.setpriv, [...privileges, ...leash, options.program, ...options.argv], {
    cwd: '/',
    detached: true,
    env: { [PROCESS_MARK]: options.vmDirectory },
    stdio: withoutInherited(options.stdio, nothing),
  });
  closeSync(nothing);
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`));
  });
  // Until here the event loop has not run: the child is there, if only as a zombie.
  const pid = child.pid;
  const startTime = pid === undefined ? undefined : startTimeOf(pid);
  await new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  return {
    process: { identity: { role: options.role, pid: pid as number, start_time: startTime ?? 0 }, ended },
    // The ends of this one; whether it reads or writes one is what the process does with the other end.
    pipes: child.stdio as (Duplex | null)[],
  };
}

/** `nothing` is an open /dev/null, which takes the place of what the process would inherit from this one's caller. */
function withoutInherited(stdio: StartOptions['stdio'], nothing: number): StdioOptions {
  const all: StartOptions['stdio'][number][] = [...stdio];
  for (const descriptor of inheritedDescriptors()) {
    if (descriptor < stdio.length) continue;
    while (all.length <= descriptor) all.push('ignore');
    all[descriptor] = nothing;
  }
  return all as StdioOptions;
}

/** How soon the end of a process that is no child is noticed. */
const POLL_MS = 300;

/** Notices the end of processes that are not this one's children, since no event tells of it. */
export class ProcessPoll {
  readonly #watched = new Map<ProcessIdentity, () => void>();
  #timer: NodeJS.Timeout | undefined;

  watch(identity: ProcessIdentity): WatchedProcess {
    const ended = new Promise<string>((resolve) => {
      this.#watched.set(identity, () => resolve('ended'));
    });
    this.#timer ??= setInterval(() => this.#look(), POLL_MS).unref();
    return { identity, ended };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#watched.clear();
  }

  #look(): void {
    for (const [identity, resolve] of this.#watched) {
      if (isAlive(identity)) continue;
      this.#watched.delete(identity);
      resolve();
    }
    if (this.#watched.size === 0) this.close();
  }
}
