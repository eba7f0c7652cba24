// One VM's live channel on real sockets in a directory of its own, with a wire agent as its guest.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { TestContext } from 'node:test';
import { join } from 'node:path';
import { Archives } from '../../src/live/archives.ts';
import type { LiveVm, LiveVmOptions } from '../../src/live/contract.ts';
import { randomHex, type LiveDependencies } from '../../src/live/dependencies.ts';
import { LIVE_LIMITS, type LiveLimits } from '../../src/live/limits.ts';
import { startLiveVm } from '../../src/live/live-vm.ts';
import { Secret } from '../../src/secret/secret.ts';
import { MemoryStore } from './memory-store.ts';
import { VsockDevice } from './vsock-device.ts';
import { WireAgent } from './wire-agent.ts';

export interface Options extends Partial<Omit<LiveVmOptions, 'vsockPath' | 'bootToken'>> {
  readonly store?: MemoryStore;
  readonly limits?: Partial<LiveLimits>;
  readonly bootToken?: string;
  /** What the agent believes the boot token to be; the right one unless given. */
  readonly agentToken?: string;
  readonly archives?: Archives;
  /** Where the host's nonces and shares come from. */
  readonly randomHex?: () => string;
}

export interface Bench {
  readonly store: MemoryStore;
  readonly device: VsockDevice;
  readonly agent: WireAgent;
  readonly vm: LiveVm;
  readonly vsockPath: string;
  readonly log: string[];
}

/** No limit on how often, so that only the tests of rates meet one. */
const UNLIMITED = { burst: 1e9, perSecond: 1e9 };

export const dependencies = (
  log: string[] = [],
  limits: Partial<LiveLimits> = {},
  archives = new Archives(),
  random = randomHex,
): LiveDependencies => ({
  log: {
    info: (fields, message) => void log.push(`info ${message} ${JSON.stringify(fields)}`),
    warn: (fields, message) => void log.push(`warn ${message} ${JSON.stringify(fields)}`),
  },
  nowMs: Date.now,
  randomHex: random,
  archives,
  limits: {
    ...LIVE_LIMITS, sessionMs: 50, strangerRequestsMax: 1e9, connections: UNLIMITED, hellos: UNLIMITED, requests: UNLIMITED, reports: UNLIMITED, logLines: UNLIMITED,
    ...limits,
  },
});

/** Everything is closed and removed when the test ends. */
export async function bench(t: TestContext, options: Options = {}): Promise<Bench> {
  const { store = new MemoryStore(), limits = {}, bootToken, agentToken = bootToken, archives, randomHex: random, ...rest } = options;
  const directory = mkdtempSync(join(tmpdir(), 'slicer-live-'));
  const vsockPath = join(directory, 'vm.vsock');
  const device = await VsockDevice.listen(vsockPath);
  const log: string[] = [];
  const vm = await startLiveVm(store, {
    hostname: 'web-1', grant: 'all', vsockPath,
    ...(bootToken === undefined ? {} : { bootToken: new Secret(Buffer.from(bootToken)) }),
    ...rest,
  }, dependencies(log, limits, archives, random));
  const agent = new WireAgent(device, agentToken);
  t.after(async () => {
    agent.close();
    await vm.close();
    await device.close();
    rmSync(directory, { recursive: true });
  });
  return { store, device, agent, vm, vsockPath, log };
}

/** Resolves when `isReached` holds; looked at whenever the VM's status may have changed. */
export function until(vm: LiveVm, isReached: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = vm.onStatus(() => check());
    const check = (): void => {
      if (!isReached()) return;
      stop();
      resolve();
    };
    check();
  });
}
