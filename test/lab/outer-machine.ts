// The outer machine of the nested lab: an emulated AMD processor with SVM, so that KVM works inside even where
// this machine has none. It ends with whoever started it, and keeps nothing.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { findCommand } from '../../image/command.ts';
import { fail } from '../../src/errors/slicer-error.ts';
import type { OuterSystem } from './outer-system.ts';

/** Two VMs of the tests, the disks' caches, and the layer over the disk. */
const MEMORY_MIB = 3072;

/**
 * Without cmpxchg16b: QEMU 7.2 (Debian 12) computes its flags from stale state, and guests that use it die at
 * random. The other features are what nested virtualization takes.
 */
const CPU = 'EPYC,+svm,+npt,+rdrand,-cx16';

const CMDLINE = 'console=ttyS0 quiet panic=-1 cryptomgr.notests tsc=reliable no_timer_check mitigations=off';

const EXIT_CODE = /^slicer-lab: exit code (\d+)/m;

export interface OuterMachineOptions {
  readonly system: OuterSystem;
  /** The second disk, read-only. */
  readonly payload: string;
  /** For the machine's own console; it stays. */
  readonly directory: string;
  /** Gets what the command inside writes, as it comes. */
  readonly output: Writable;
  readonly limitMs: number;
  /** Ends the machine. */
  readonly signal?: AbortSignal;
}

/**
 * Starts the machine, which runs the payload's command, and resolves with the command's exit code. Throws
 * missing_part without QEMU, and launch_failed with the end of the console when the machine told none.
 */
export async function runOuterMachine(options: OuterMachineOptions): Promise<number> {
  const [qemu, setpriv] = [findCommand('qemu-system-x86_64'), findCommand('setpriv')];
  if (qemu === undefined) throw fail('missing_part', 'qemu-system-x86_64 is missing', 'apt-get install qemu-system-x86');
  if (setpriv === undefined) throw fail('missing_part', 'setpriv is missing', 'apt-get install util-linux');
  const console = join(options.directory, 'console.log');
  const limit = AbortSignal.timeout(options.limitMs);
  // The kernel ends it when this process is gone, however that ended (prctl(2), PR_SET_PDEATHSIG).
  const machine = spawn(setpriv, ['--pdeathsig', 'KILL', qemu, ...argv(options, console)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    signal: AbortSignal.any([limit, ...(options.signal === undefined ? [] : [options.signal])]),
  });
  machine.stdout.pipe(options.output, { end: false });
  let messages = '';
  machine.stderr.setEncoding('utf8').on('data', (text: string) => { messages += text; });
  // Aborting is an error of the process besides its end, and only the end is waited for.
  machine.on('error', () => undefined);
  await new Promise((resolve) => machine.once('close', resolve));
  options.signal?.throwIfAborted();
  const log = await readFile(console, 'utf8').catch(() => '');
  const [, code] = EXIT_CODE.exec(log) ?? [];
  if (code !== undefined) return Number(code);
  const why = limit.aborted ? `did not end within ${options.limitMs / 1000} s` : 'ended without an exit code of its tests';
  throw fail('launch_failed', `the nested lab's outer machine ${why}:\n${withoutWarnings(messages)}${log.slice(-2000)}`);
}

function argv({ system, payload }: OuterMachineOptions, console: string): string[] {
  const disk = (path: string, id: string): string[] =>
    ['-drive', `file=${optionValue(path)},format=raw,if=none,id=${id},readonly=on`, '-device', `virtio-blk-pci,drive=${id}`];
  return [
    '-no-user-config', '-nodefaults', '-display', 'none', '-no-reboot',
    '-machine', 'q35,usb=off,vmport=off', '-accel', 'tcg,thread=multi', '-cpu', CPU, '-smp', '2', '-m', `${MEMORY_MIB}M`,
    '-kernel', system.kernel, '-initrd', system.initrd, '-append', CMDLINE,
    '-chardev', `file,id=console,path=${optionValue(console)}`, '-serial', 'chardev:console',
    '-chardev', 'stdio,id=output,signal=off', '-serial', 'chardev:output',
    ...disk(system.disk, 'system'), ...disk(payload, 'payload'),
    '-device', 'virtio-rng-pci',
  ];
}

/** A value inside QEMU's comma-separated options: a comma is written twice (qemu(1), "-drive"). */
const optionValue = (value: string): string => value.replaceAll(',', ',,');

/** What TCG lacks of the processor, twice for each feature: none of it matters here. */
const withoutWarnings = (text: string): string =>
  text.split('\n').filter((line) => !line.includes("warning: TCG doesn't support requested feature")).join('\n');
