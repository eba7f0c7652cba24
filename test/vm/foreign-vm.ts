// A VM that Slicer did not start: the same image and devices as one that it did, read off that VM's
// processes, in a directory of its own and without a boot channel.
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cpioArchive, type CpioEntry } from '../../image/cpio.ts';
import { processesOf } from './processes.ts';
import { LIMIT_MS } from './patience.ts';

export interface ForeignVm {
  /** The guest's connections to port P arrive at `PATH_P`. */
  readonly vsockPath: string;
  /** Resolves with all that the guest wrote to its console, once it has written such a thing. */
  untilConsole(pattern: RegExp, limitMs?: number): Promise<string>;
  readonly isAlive: () => boolean;
  stop(): Promise<void>;
}

const GUEST_CID = '4711';

export interface ForeignVmOptions {
  /** Whether it has a VSOCK device; it does when absent. */
  readonly vsock?: boolean;
  /** Files that the image gets besides, or instead of its own. */
  readonly files?: readonly CpioEntry[];
}

/** Starts a VM like the one whose record is in `vmDirectory`. */
export async function startForeignVm(vmDirectory: string, options: ForeignVmOptions = {}): Promise<ForeignVm> {
  const withVsock = options.vsock ?? true;
  const [vsock, vmm] = ['vhost-device-vsock', 'qemu-system'].map((program) => {
    const found = processesOf(vmDirectory).find(({ pid }) => readlinkSync(`/proc/${pid}/exe`).includes(program));
    if (found === undefined) throw new Error(`no ${program} runs for ${vmDirectory}`);
    // What it was handed open has a path, too.
    return found.cmdline.toString().split('\0').slice(0, -1)
      .map((word) => word.replace(/\/proc\/self\/fd\/(\d+)/, (_, descriptor: string) => readlinkSync(`/proc/${found.pid}/fd/${descriptor}`)));
  }) as [string[], string[]];
  const modelDirectory = dirname(vsock[vsock.indexOf('--uds-path') + 1] as string);
  const directory = mkdtempSync('/dev/shm/foreign-vm-');
  const moved = (words: readonly string[]): string[] => words.map((word) => word.replaceAll(modelDirectory, directory));

  const children: ChildProcess[] = [];
  const output = new EventEmitter();
  let text = '';
  const start = ([program, ...args]: readonly string[]): ChildProcess => {
    const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        text += chunk;
        output.emit('text');
      });
    }
    children.push(child);
    return child;
  };

  if (withVsock) {
    const words = moved(vsock);
    words[words.indexOf('--guest-cid') + 1] = GUEST_CID;
    start(words);
    await untilThere(join(directory, 'vhost.sock'));
  }
  const withoutBootChannel = dropOptions(moved(vmm), (option, value) =>
    option === '-smbios' || (!withVsock && /vsock/.test(value)));
  if (options.files !== undefined) {
    // The kernel unpacks one archive after the other (initramfs buffer format): later files win.
    const initrd = withoutBootChannel.indexOf('-initrd') + 1;
    const extended = join(directory, 'initrd');
    writeFileSync(extended, Buffer.concat([readFileSync(withoutBootChannel[initrd] as string), cpioArchive(options.files)]));
    withoutBootChannel[initrd] = extended;
  }
  start(withoutBootChannel);
  return {
    vsockPath: join(directory, 'vm.vsock'),
    untilConsole: async (pattern, limitMs = LIMIT_MS) => {
      const signal = AbortSignal.timeout(limitMs);
      while (!pattern.test(text)) {
        await once(output, 'text', { signal }).catch(() => { throw new Error(`no ${pattern} on the console:\n${text}`); });
      }
      return text;
    },
    isAlive: () => children.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null),
    stop: async () => {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Leaves out an option together with its value. */
function dropOptions(words: readonly string[], isUnwanted: (option: string, value: string) => boolean): string[] {
  return words.filter((word, index) =>
    !isUnwanted(word, words[index + 1] ?? '') && !(index > 0 && word[0] !== '-' && isUnwanted(words[index - 1] as string, word)));
}

async function untilThere(path: string): Promise<void> {
  const watcher = watch(dirname(path));
  try {
    while (!existsSync(path)) await once(watcher, 'change', { signal: AbortSignal.timeout(LIMIT_MS) });
  } finally {
    watcher.close();
  }
}
