// Starts the processes of one VM, in order, each once the one before listens:
//
//   1. the console's log, whose stdin is the stdout and stderr of all others
//   2. what the VMM's driver plans: the VSOCK device, then the VMM
//   3. the VMM's word, over its control socket, that it took its configuration and the guest starts
//
// All or nothing: when a step fails, what was started is ended before the error is thrown.
import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import type { ProcessPlan, Vmm, VmmControl, VmSpec } from '../vmm/contract.ts';
import { FIRST_INHERITED, pathOfDescriptor } from '../vmm/inherited-files.ts';
import { startConsole, type VmConsole } from './console-log.ts';
import { isProgramOfAll, openInherited, type OpenFile } from './inherited-file.ts';
import { endProcesses, waitForEnd } from './process-table.ts';
import type { ProcessIdentity } from './record.ts';
import type { VmUser } from './vm-user.ts';
import { startProcess, type StartOptions, type WatchedProcess } from './watched-process.ts';

const READY_POLL_MS = 2;
/** Between asking a VM's process to end and forcing it: what they need is milliseconds. */
const END_GRACE_MS = 3_000;
const END_NEWS_MS = 500;
const COMPLAINT_LINES = 5;
/** A process alone, which needs milliseconds. */
const ALONE_LIMIT_MS = 10_000;

export interface StartRequest {
  readonly spec: VmSpec;
  /** One for each boot slot. */
  readonly values: readonly Secret[];
  readonly vmDirectory: string;
  readonly runtimeDirectory: string;
  /** The VM's own; this process's when absent. */
  readonly user?: VmUser | undefined;
}

export interface StartParts {
  readonly vmm: Vmm;
  readonly programs: { readonly agent: string; readonly setpriv: string };
  /** Whether the processes end with this one, whatever ends it; else they outlive it. */
  readonly endsWithThis?: boolean;
  /** All steps together; a VMM that takes longer hangs. */
  readonly startLimitMs: number;
  /** What takes the processes' output; a log in the VM's directory, with a process of its own, when absent. */
  readonly console?: VmConsole;
}

export interface StartedVm {
  readonly processes: readonly WatchedProcess[];
  readonly control: VmmControl;
}

/** Throws launch_failed, or vsock_port_taken, with the step and what the processes wrote; `signal`'s reason when it aborts. */
export async function startVm(request: StartRequest, parts: StartParts, signal: AbortSignal): Promise<StartedVm> {
  // One signal for the caller's end, the time limit, and the end of this attempt. Not AbortSignal.any(): a
  // time-out that only that one refers to may be collected before it fires (Node 20).
  const attempt = new AbortController();
  const giveUp = (): void => attempt.abort(signal.reason);
  signal.addEventListener('abort', giveUp);
  const late = new Error(`it was not ready within ${parts.startLimitMs / 1000} s`);
  const timer = setTimeout(() => attempt.abort(late), parts.startLimitMs);
  const processes: WatchedProcess[] = [];
  let log: VmConsole | undefined;
  let step = 'the console log';
  try {
    signal.throwIfAborted();
    const plans = parts.vmm.plan(request.spec);
    log = parts.console ?? await startConsole(request.vmDirectory, parts.programs, plans.some(({ filtersStderr }) => filtersStderr));
    if (log.process !== undefined) processes.push(log.process);
    for (const plan of plans) {
      step = basename(plan.program);
      processes.push(await orItsCause(startPlanned(plan, request, parts, log), processes));
      await Promise.race([waitForListener(plan.readySocket, attempt.signal), ...processes.map(failAtEnd)]);
    }
    const control = await Promise.race([
      lateToFail(parts.vmm.boot(request.spec, request.values, attempt.signal)), ...processes.map(failAtEnd),
    ]);
    log.release();
    return { processes, control };
  } catch (error) {
    attempt.abort();
    log?.release();
    await endVm(processes.map(({ identity }) => identity));
    signal.throwIfAborted();
    const complaints = await log?.lastLines(COMPLAINT_LINES) ?? [];
    throw launchFailed(request.spec.name, step, error as Error, complaints);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  }
}

/**
 * Starts one process of a VM that runs, in the place of one that ended, and resolves when it listens. The
 * console's log has nothing of it. Throws when it does not come up.
 */
export async function startInPlace(
  plan: ProcessPlan, vmDirectory: string, parts: Pick<StartParts, 'programs' | 'endsWithThis'>, user: VmUser | undefined,
): Promise<WatchedProcess> {
  const { process } = await startAs(plan, user, [], { stdio: ['ignore', 'ignore', 'ignore'], vmDirectory }, parts);
  const attempt = new AbortController();
  const timer = setTimeout(() => attempt.abort(new Error(`${basename(plan.program)} was not ready within ${ALONE_LIMIT_MS / 1000} s`)), ALONE_LIMIT_MS);
  try {
    await Promise.race([waitForListener(plan.readySocket, attempt.signal), failAtEnd(process)]);
    return process;
  } catch (error) {
    await endProcesses([process.identity], 0);
    throw error;
  } finally {
    clearTimeout(timer);
    attempt.abort();
  }
}

/** Ends a VM's processes, the console's log last, so that it has their last words. */
export async function endVm(identities: readonly ProcessIdentity[]): Promise<void> {
  const isLog = ({ role }: ProcessIdentity): boolean => role === 'console';
  await endProcesses(identities.filter((identity) => !isLog(identity)), END_GRACE_MS);
  const logs = identities.filter(isLog);
  if (!await waitForEnd(logs, END_GRACE_MS)) await endProcesses(logs, END_GRACE_MS);
}

async function startPlanned(
  plan: ProcessPlan,
  request: StartRequest,
  parts: StartParts,
  log: VmConsole,
): Promise<WatchedProcess> {
  const files: OpenFile[] = [];
  try {
    const { user, values, runtimeDirectory, vmDirectory } = request;
    for (const descriptor of plan.descriptors) files.push(await openInherited(descriptor, { values, runtimeDirectory, owner: user?.uid }));
    const { process, pipes: [, stdout, stderr] } = await startAs(plan, user, files, { stdio: ['ignore', ...log.targetsOf(plan)], vmDirectory }, parts);
    log.started?.(plan, stdout as Readable, stderr as Readable);
    return process;
  } finally {
    for (const file of files) await file.close();
  }
}

/** `files`: what it inherits after the first three of `stdio`. */
async function startAs(
  { role, program, argv, capability }: ProcessPlan, user: VmUser | undefined, files: readonly OpenFile[],
  { stdio, vmDirectory }: Pick<StartOptions, 'stdio' | 'vmDirectory'>, { programs, endsWithThis = false }: Pick<StartParts, 'programs' | 'endsWithThis'>,
): ReturnType<typeof startProcess> {
  // A checkout in root's home, say: then it is started as what it is, whatever it is called.
  const opened = user === undefined || await isProgramOfAll(program) ? undefined : await open(program, 'r');
  try {
    return await startProcess({
      role, argv, vmDirectory, endsWithThis, user, capability,
      program: opened === undefined ? program : pathOfDescriptor(FIRST_INHERITED + files.length),
      stdio: [...stdio, ...files.map(({ fd }) => fd), ...(opened === undefined ? [] : [opened.fd])],
      setpriv: programs.setpriv,
      // A user who wants VMs to be root's has them do what root can.
      keepsCapabilities: user === undefined,
    });
  } finally {
    await opened?.close();
  }
}

/** Looks in the kernel's table instead of connecting: vhost-user serves one connection, the VMM's. */
async function waitForListener(path: string, signal: AbortSignal): Promise<void> {
  while (!isListening(await readFile('/proc/net/unix', 'utf8'), path)) {
    signal.throwIfAborted();
    await delay(READY_POLL_MS);
  }
}

/** proc_net(5): Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is __SO_ACCEPTCON. */
export function isListening(table: string, path: string): boolean {
  return table.split('\n').some((line) => line.endsWith(` ${path}`) && line.split(' ', 4)[3] === '00010000');
}

async function failAtEnd(process: WatchedProcess): Promise<never> {
  throw new Error(`${process.identity.role} ${await process.ended}`);
}

/** What was started before and has ended, and its pipes with it, is why the next can't be. */
async function orItsCause<T>(starting: Promise<T>, processes: readonly WatchedProcess[]): Promise<T> {
  try {
    return await starting;
  } catch (error) {
    await Promise.race([delay(END_NEWS_MS), ...processes.map(failAtEnd)]);
    throw error;
  }
}

/** A VMM that ends closes its sockets a moment before its end is known, which says more. */
async function lateToFail<T>(connecting: Promise<T>): Promise<T> {
  try {
    return await connecting;
  } catch (error) {
    await delay(END_NEWS_MS);
    throw error;
  }
}

/** What the agent says as a relay (agent/sys.c, vsockListen). It comes first: no guest and no VMM has written yet. */
const PORT_TAKEN = /listen on vsock: Address already in use/;

function launchFailed(name: string, step: string, cause: Error, complaints: readonly string[]): SlicerError {
  // Control characters of a guest or a library have no place in an error's one line.
  const said = complaints.map((line) => line.replace(/[^\x20-\x7e]+/g, ' ').trim()).filter((line) => line !== '');
  const wrote = said.length === 0 ? '' : `; it wrote: ${said.join(' | ')}`;
  const isPortTaken = said.length === 1 && PORT_TAKEN.test(said[0] as string);
  return fail(isPortTaken ? 'vsock_port_taken' : 'launch_failed', `vm "${name}" did not start, at ${step}: ${cause.message}${wrote}`,
    cause instanceof SlicerError ? cause.problems[0].hint : undefined);
}
