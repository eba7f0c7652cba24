// VMs of the real parts: QEMU, vhost-device-vsock, the agent as console writer, and the tiny image.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, realpathSync, readdirSync, rmSync, watch } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { findAgent } from '../../image/agent.ts';
import { HOST_ARCH } from '../../image/compiler.ts';
import type { GuestImage } from '../../image/guest-image.ts';
import { ensureTinyImage } from '../../image/tiny.ts';
import { ensureVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import type { LaunchHooks, LaunchRequest, Vm, Vms } from '../../src/vm/contract.ts';
import { endProcesses, findMarked } from '../../src/vm/process-table.ts';
import { findProgram, type VmPrograms } from '../../src/vm/programs.ts';
import { findTscKhz } from '../../src/vmm/time-stamp-counter.ts';
import { DEFAULT_UIDS } from '../../src/vm/vm-user.ts';
import { openVms, type VmsOptions } from '../../src/vm/vms.ts';

export const hooks: LaunchHooks = { beforeStart: async () => undefined };

/** What these tests lack on this machine and how to get it; false when all is there. */
export async function missingPart(): Promise<string | false> {
  if (await findProgram('qemu-system-x86_64', process.env['PATH'] ?? '') === undefined) {
    return 'qemu-system-x86_64 is missing: apt-get install qemu-system-x86';
  }
  try {
    findAgent(HOST_ARCH);
    return false;
  } catch (error) {
    return `${(error as Error).message}: npm run build`;
  }
}

export async function realPrograms(): Promise<VmPrograms> {
  const path = process.env['PATH'] ?? '';
  return {
    qemu: await findProgram('qemu-system-x86_64', path) as string,
    cloudHypervisor: await findProgram('cloud-hypervisor', path) ?? '/usr/bin/cloud-hypervisor',
    firecracker: await findProgram('firecracker', path) ?? '/usr/bin/firecracker',
    setpriv: await findProgram('setpriv', path) as string,
    vhostDeviceVsock: await ensureVhostDeviceVsock(),
    agent: findAgent(HOST_ARCH),
  };
}

export interface Lab {
  readonly daemonDirectory: string;
  readonly memoryDirectory: string;
  readonly warnings: string[];
  readonly image: GuestImage;
  readonly request: LaunchRequest;
  /** A daemon's VMs; the ones before must be closed. */
  open(change?: Partial<VmsOptions>): Promise<Vms>;
  /** Everything that is left: names below the daemon's and the memory directory, and processes. */
  leftovers(): Promise<string[]>;
  /** Ids of a VM's processes by what their command line holds. */
  pidOf(hostname: string, word: string): Promise<number>;
}

export async function openLab(t: TestContext): Promise<Lab> {
  const daemonDirectory = realpathSync(mkdtempSync(join(tmpdir(), 'slicer-vms-')));
  const memoryDirectory = mkdtempSync('/dev/shm/slicer-vms-');
  // As /run is: VMs have users of their own.
  chmodSync(memoryDirectory, 0o711);
  // As `slicer up` does for itself; the VM's processes inherit it.
  execFileSync('prlimit', [`--pid=${process.pid}`, '--core=0']);
  const image = await ensureTinyImage();
  const warnings: string[] = [];
  const opened: Vms[] = [];
  const vmsDirectory = join(daemonDirectory, '.slicer', 'vms');
  const vmDirectories = (): string[] =>
    existsSync(vmsDirectory) ? readdirSync(vmsDirectory).map((name) => join(vmsDirectory, name)) : [];
  t.after(async () => {
    for (const vms of opened) await vms.closeKeepingVms();
    for (const directory of vmDirectories()) await endProcesses(await findMarked(directory), 0);
    rmSync(daemonDirectory, { recursive: true });
    rmSync(memoryDirectory, { recursive: true });
  });
  return {
    daemonDirectory,
    memoryDirectory,
    warnings,
    image,
    request: {
      group: 'web',
      cpus: 1,
      ramBytes: 192 * 1024 * 1024,
      kernel: image.kernel,
      initrd: image.initrd,
      // Asleep at once, so that a guest costs these tests as little as can be.
      cmdline: `${image.cmdline} rdinit=/bin/busybox -- sleep 1000000`,
      vmm: { hypervisor: 'qemu', machine: 'q35' },
      volumes: [],
      interfaces: [],
      liveCredentials: [],
      grant: 'all',
      credentials: [],
      tags: [],
      stopGraceMs: 0,
    },
    async open(change = {}) {
      const vms = await openVms({
        daemonDirectory,
        uid: process.getuid!(),
        vmUids: process.getuid!() === 0 ? DEFAULT_UIDS : undefined,
        memoryDirectories: [memoryDirectory],
        programs: await realPrograms(),
        accelerator: 'tcg',
        arch: 'x86_64',
        tscKhz: await findTscKhz(),
        kernelVsock: false,
        now: Date.now,
        randomBytes,
        warn: (message) => warnings.push(message),
        ...change,
      });
      opened.push(vms);
      return vms;
    },
    async leftovers() {
      const names = ['web-1', 'web-2', ...readdirSync(vmsDirectory)];
      const processes = await Promise.all(names.map((name) => findMarked(join(vmsDirectory, name))));
      return [
        ...vmDirectories(),
        ...readdirSync(memoryDirectory, { recursive: true }).map(String),
        ...processes.flat().map(({ pid }) => `process ${pid}`),
      ];
    },
    async pidOf(hostname, word) {
      for (const { pid } of await findMarked(join(vmsDirectory, hostname))) {
        if ((await readlink(`/proc/${pid}/exe`)).includes(word)) return pid;
      }
      throw new Error(`vm "${hostname}" has no process "${word}"`);
    },
  };
}

/** Resolves when a VM is as wanted. */
export function until(vms: Vms, hostname: string, wanted: (vm: Vm | undefined) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!wanted(vms.get(hostname))) return;
      stop();
      clearTimeout(keepAlive);
      resolve();
    };
    const stop = vms.onChange(look);
    // Neither a VM nor the watch over it keeps this process alive.
    const keepAlive = setTimeout(() => undefined, 60_000);
    look();
  });
}

/** Resolves when the console of a VM holds `text`. */
export function untilConsole(lab: Lab, vms: Vms, hostname: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      vms.logs(hostname, 0).then(({ content }) => {
        if (!content.includes(text)) return;
        watcher.close();
        resolve();
      }).catch(reject);
    };
    const watcher = watch(join(lab.daemonDirectory, '.slicer', 'vms', hostname), look);
    look();
  });
}
