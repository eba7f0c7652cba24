// A hostile guest beside a neighbour that is well: runs one attack after the other in a real VM, and looks
// meanwhile at what it costs the daemon, and whether the neighbour still gets every change.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { LIVE_LIMITS } from '../../src/live/limits.ts';
import { VsockDevice } from '../live/vsock-device.ts';
import { WireAgent } from '../live/wire-agent.ts';
import { compileForGuest, outputWithoutAgent, runWithoutAgent } from './guest-programs.ts';
import { MISSING_COMPILER } from './parts.ts';
import { eventually } from './patience.ts';
import { formsOf } from './search.ts';
import { oneGroup, withSlicer, type Fixture, type Slicer } from './slicer.ts';

const CANARY = 'canary-1f6c2b-of-the-hostile-vm';
const VM = 'vm-1';
const NEIGHBOUR = 'neighbour';
const PROGRAM = '/tmp/hostile';
const ROOT_PROGRAM = '/tmp/hostile-agent';
/** Finds the token in the table of OEM strings (SMBIOS type 11), as root. */
const BOOT_TOKEN = "cat /sys/firmware/dmi/entries/11-*/raw | tr '\\0' '\\n' | sed -n 's/.*io.systemd.credential.binary:slicer.boot-token=//p' | base64 -d";

/** More than a daemon of two VMs has without attacks: what one VM may have open, and a few for the API. */
const DESCRIPTORS_MAX = LIVE_LIMITS.connectionsMax + 48;
/** Far above what Node has of its own accord, far below what any attack would take that nothing stops. */
const MEMORY_MAX_BYTES = 512 * 1024 * 1024;
const SAMPLE_MS = 50;

export interface Cost {
  readonly attack: string;
  /** What the attacker said of it. */
  readonly said: string;
  readonly peakMemoryBytes: number;
  readonly descriptors: number;
  readonly cpuSeconds: number;
  readonly seconds: number;
  /** Changes that the neighbour got meanwhile. */
  readonly changes: number;
  /** What the daemon's log says of the VM, in lines. */
  readonly logLines: number;
}

/** A file's VMs: the hostile one, which its first test launches, beside a neighbour. */
export function withHostileGuest(): { fixture: Fixture; skip: string | false; guest: () => HostileGuest } {
  let started: HostileGuest | undefined;
  // Before the daemon's end, which the fixture brings about.
  after(async () => started?.close());
  const fixture = withSlicer(oneGroup(), {
    skip: MISSING_COMPILER,
    prepare: async (slicer) => {
      slicer.put('canary', CANARY);
      slicer.put('shared', 'before');
    },
  });
  test('a hostile guest is launched beside a neighbour', { skip: fixture.skip }, async () => {
    started = await HostileGuest.start(fixture.slicer);
  });
  const guest = (): HostileGuest => {
    assert.ok(started, 'the VM was not launched');
    return started;
  };
  return { fixture, skip: fixture.skip, guest };
}

export class HostileGuest {
  readonly #slicer: Slicer;
  readonly #device: VsockDevice;
  readonly #neighbour: WireAgent;
  readonly #token: string;
  #change = 0;

  private constructor(slicer: Slicer, device: VsockDevice, neighbour: WireAgent, token: string) {
    this.#slicer = slicer;
    this.#device = device;
    this.#neighbour = neighbour;
    this.#token = token;
  }

  /** Launches the VM, puts the attackers into it, and attaches the neighbour. */
  static async start(slicer: Slicer): Promise<HostileGuest> {
    assert.equal(await slicer.launch('--secret=canary'), VM);
    await slicer.push(VM, compileForGuest('hostile'), PROGRAM);
    await slicer.push(VM, compileForGuest('hostile-agent'), ROOT_PROGRAM);
    const token = await slicer.inGuest(VM, BOOT_TOKEN);
    const directory = mkdtempSync(join(tmpdir(), 'slicer-neighbour-'));
    const device = await VsockDevice.listen(join(directory, 'vm.vsock'));
    const neighbour = new WireAgent(device);
    neighbour.wantsSession = true;
    const { status, body } = await slicer.api('POST', '/nodes', { hostname: NEIGHBOUR, vsock: device.path, secrets: ['shared'] });
    assert.equal(status, 201, JSON.stringify(body));
    await neighbour.establish();
    await neighbour.sync();
    return new HostileGuest(slicer, device, neighbour, token);
  }

  async close(): Promise<void> {
    await this.#slicer.run(['vm', 'delete', NEIGHBOUR]);
    this.#neighbour.close();
    await this.#device.close();
    rmSync(dirname(this.#device.path), { recursive: true });
  }

  /** An attack of any process in the guest. */
  attack(words: readonly string[], uid: number): Promise<Cost> {
    return this.#meanwhile(`${words.join(' ')} (uid ${uid})`, async () => {
      const { stdout, stderr, exitCode } = await this.#slicer.run(['vm', 'exec', VM, `--uid=${uid}`, '--', PROGRAM, ...words]);
      assert.equal(exitCode, 0, `${words.join(' ')}: ${stderr}${stdout}`);
      return stdout;
    });
  }

  /** An attack of root in the agent's place; `calls`: what the host is asked to do with the guest meanwhile. */
  async attackAsAgent(words: readonly string[], calls: (slicer: Slicer) => Promise<void> = async () => undefined): Promise<Cost> {
    await runWithoutAgent(this.#slicer, VM, `${ROOT_PROGRAM} ${this.#token} ${words.join(' ')}`);
    return this.#meanwhile(`${words.join(' ')} (in the agent's place)`, async () => {
      await calls(this.#slicer);
      return outputWithoutAgent(this.#slicer, VM);
    });
  }

  /** The VM's own agent is well again: it gets a change and runs a command. */
  async untilWell(): Promise<void> {
    const value = `${CANARY} ${(this.#change += 1)}`;
    await this.#slicer.ok(['secret', 'update', 'canary', '--no-wait'], { stdin: value });
    await this.#slicer.untilHolds(VM).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await this.#slicer.ok(['vm', 'logs', VM])}\n${this.#slicer.daemonOutput.slice(-3000)}`);
    });
    assert.equal(await this.#slicer.inGuest(VM, 'cat /run/slicer/secrets/canary'), value);
  }

  async #meanwhile(attack: string, work: () => Promise<string>): Promise<Cost> {
    const pid = this.#slicer.daemonPid;
    let peakMemoryBytes = 0;
    let descriptors = 0;
    const look = (): void => {
      peakMemoryBytes = Math.max(peakMemoryBytes, memoryOf(pid));
      descriptors = Math.max(descriptors, readdirSync(`/proc/${pid}/fd`).length);
    };
    const timer = setInterval(look, SAMPLE_MS);
    const [cpuBefore, linesBefore, began] = [cpuSecondsOf(pid), this.#logLines(), performance.now()];
    let isOver = false;
    const attacking = work().finally(() => { isOver = true; });
    attacking.catch(() => undefined);
    let changes = 0;
    do {
      await this.#changeForNeighbour();
      changes += 1;
    } while (!isOver);
    clearInterval(timer);
    const said = await attacking;
    look();
    const cost: Cost = {
      attack, said, peakMemoryBytes, descriptors, changes,
      cpuSeconds: cpuSecondsOf(pid) - cpuBefore, seconds: (performance.now() - began) / 1000, logLines: this.#logLines() - linesBefore,
    };
    assertBounded(cost);
    return cost;
  }

  #logLines(): number {
    return this.#slicer.daemonOutput.split('\n').filter((line) => line.includes(`"vm":"${VM}"`)).length;
  }

  /** Resolves when the neighbour has it: a change that never comes fails by the test's time limit. */
  async #changeForNeighbour(): Promise<void> {
    const value = `change ${(this.#change += 1)}`;
    const polled = this.#neighbour.sync(true);
    const { status } = await this.#slicer.api('PATCH', '/secrets/shared', { data: Buffer.from(value).toString('base64') });
    assert.equal(status, 200);
    assert.ok([200, 226].includes(await polled));
    assert.equal(this.#neighbour.held.get('shared')?.bytes.toString(), value);
  }
}

/** What the host may want of a guest whose agent lies, from when its own agent has gone: each ends in an error, in bounded time. */
export const lyingAgents = {
  command: async (slicer: Slicer): Promise<void> => {
    let refused = { exitCode: 0, stderr: '' };
    await eventually('the lie', async () => (refused = await slicer.run(['vm', 'exec', VM, '--', 'true'])).exitCode !== 0);
    assert.match(refused.stderr, /^slicer: error: (the agent|the command|the session|the connection) /m);
    assert.doesNotMatch(refused.stderr, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
  },
  bufferedCommand: async (slicer: Slicer): Promise<void> => {
    let status = 200;
    await eventually('the lie', async () => ({ status } = await slicer.api('POST', `/vm/${VM}/exec?cmd=true&buffered=true`)).status !== 200);
    assert.ok([502, 503].includes(status), `${status}`);
  },
  health: async (slicer: Slicer): Promise<void> => {
    let status = 200;
    await eventually('the lie', async () => ({ status } = await slicer.api('GET', `/vm/${VM}/health`)).status !== 200);
    assert.ok([502, 503].includes(status), `${status}`);
  },
} as const;

function assertBounded({ attack, said, peakMemoryBytes, descriptors, logLines, seconds }: Cost): void {
  const { burst, perSecond } = LIVE_LIMITS.logLines;
  assert.ok(logLines <= burst + Math.ceil(seconds * perSecond), `${attack}: ${logLines} lines in the daemon's log`);
  assert.ok(descriptors <= DESCRIPTORS_MAX, `${attack}: the daemon has ${descriptors} descriptors open`);
  assert.ok(peakMemoryBytes <= MEMORY_MAX_BYTES, `${attack}: the daemon has ${peakMemoryBytes} bytes of memory`);
  for (const form of formsOf(CANARY)) assert.ok(!said.includes(form), `${attack}: the attacker has the value`);
}

/** In one line, for who reads a test's output. */
export const costText = ({ attack, said, peakMemoryBytes, descriptors, cpuSeconds, seconds, changes }: Cost): string =>
  `${attack}: ${Math.round(peakMemoryBytes / 1e6)} MB, ${descriptors} descriptors, ${cpuSeconds.toFixed(1)} s of a core in ${seconds.toFixed(1)} s, ${changes} changes; ${said.trimEnd().split('\n').at(-1)?.slice(0, 120)}`;

const memoryOf = (pid: number): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024;

/** proc_pid_stat(5): utime and stime, in hundredths of a second on Linux. */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[14 - 3]) + Number(fields[15 - 3])) / 100;
}
