// The real agent, as a process of this machine, against the real store and the real per-VM server: only
// the VSOCK device between them is replaced, by the Unix sockets that such a device has on the host.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { Archives } from '../../src/live/archives.ts';
import { randomHex } from '../../src/live/dependencies.ts';
import { LIVE_LIMITS } from '../../src/live/limits.ts';
import { startLiveVm } from '../../src/live/live-vm.ts';
import type { LiveVm, LiveVmOptions } from '../../src/live/contract.ts';
import type { Grant } from '../../src/secret/grant.ts';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import { openStore } from '../../src/store/store.ts';
import type { Store } from '../../src/store/contract.ts';

const BUILD = resolve(import.meta.dirname, '../../build');

/** The agent as a program of this machine. */
export const AGENT = join(BUILD, 'slicer-agent-x86_64');

const MEMORY = '/dev/shm';
const WAIT_MS = 30_000;

export interface AgentResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Guest {
  readonly store: Store;
  readonly vm: LiveVm;
  /** The VM's VSOCK socket, as the host sees it. */
  readonly vsockPath: string;
  /** Where the agent puts the secrets. */
  readonly directory: string;
  /** Where the agent puts credentials. */
  readonly credstore: string;
  /** Starts `slicer-agent run`, and waits until it has synced. */
  readonly run: (options?: readonly string[], environment?: Readonly<Record<string, string>>) => Promise<ChildProcess>;
  /** Runs one command of the agent to its end; `through` are words before it (strace and the like). */
  readonly agent: (words: readonly string[], through?: readonly string[]) => Promise<AgentResult>;
  /** Waits until the running agent confirmed all that the store holds now. */
  readonly caughtUp: () => Promise<void>;
}

export interface GuestOptions {
  readonly grant?: Grant;
  readonly vm?: Partial<LiveVmOptions>;
  /** Mount options of a tmpfs of the guest's own, for instance `size=64k`. */
  readonly tmpfs?: string;
  readonly architecture?: 'x86_64' | 'aarch64';
  /** Keeps the host's limit on hellos, which most tests would only wait for. */
  readonly limitsHellos?: true;
}

export const name = (text: string): SecretName => {
  const parsed = parseSecretName(text);
  if (parsed === undefined) throw new Error(`not a name: ${text}`);
  return parsed;
};

export const value = (bytes: string | Uint8Array): Secret => new Secret(Buffer.from(bytes as Uint8Array));

export const rootOnly = { mode: 0o600, uid: 0, gid: 0 };

export async function startGuest(context: TestContext, options: GuestOptions = {}): Promise<Guest> {
  const scratch = mkdtempSync(join(MEMORY, 'slicer-agent-test-'));
  const store = await openStore(join(scratch, 'store'));
  const memory = mkdtempSync(join(scratch, 'guest-'));
  if (options.tmpfs !== undefined) mustRun('mount', ['-t', 'tmpfs', '-o', options.tmpfs, 'slicer-test', memory]);
  const vsockPath = join(scratch, 'vm.vsock');
  const vm = await startLiveVm(store, { hostname: 'web-1', vsockPath, grant: options.grant ?? 'all', ...options.vm }, {
    log: { info: () => undefined, warn: () => undefined },
    nowMs: Date.now,
    randomHex,
    archives: new Archives(),
    limits: options.limitsHellos ? LIVE_LIMITS : { ...LIVE_LIMITS, hellos: { burst: 100_000, perSecond: 100_000 } },
  });
  const directory = join(memory, 'secrets');
  const credstore = join(memory, 'credstore');
  const children: ChildProcess[] = [];
  context.after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await vm.close();
    await store.close();
    if (options.tmpfs !== undefined) mustRun('umount', ['-l', memory]);
    rmSync(scratch, { recursive: true });
  });

  const commandLine = (words: readonly string[]): string[] => {
    const architecture = options.architecture ?? 'x86_64';
    const emulator = architecture === 'aarch64' ? [aarch64Emulator()] : [];
    return [...emulator, join(BUILD, `slicer-agent-${architecture}`), ...words, '--socket', vsockPath, '--dir', directory, '--credstore', credstore];
  };
  const start = (words: readonly string[], through: readonly string[], environment = {}): ChildProcess => {
    const [program, ...rest] = [...through, ...commandLine(words)];
    const child = spawn(program as string, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
    children.push(child);
    return child;
  };
  return {
    store,
    vm,
    vsockPath,
    directory,
    credstore,
    run: async (options = [], environment = {}) => {
      const child = start(['run', ...options], [], environment);
      await vm.whenSynced(AbortSignal.timeout(WAIT_MS));
      return child;
    },
    agent: (words, through = []) => outcomeOf(start(words, through)),
    caughtUp: () => vm.whenHolds(store.snapshot().counter, AbortSignal.timeout(WAIT_MS)),
  };
}

export function outcomeOf(child: ChildProcess): Promise<AgentResult> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => (stdout += chunk));
  child.stderr?.on('data', (chunk) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

function mustRun(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`);
}

/** Debian 12 calls it qemu-aarch64-static, later ones qemu-aarch64. */
function aarch64Emulator(): string {
  return ['/usr/bin/qemu-aarch64-static', '/usr/bin/qemu-aarch64'].find((path) => existsSync(path)) ?? 'qemu-aarch64';
}
