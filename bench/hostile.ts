// What a VM under attack from inside costs its neighbours: how long another VM's change takes, during each
// attack, beside how long it takes in the same run while the same guest is busy with itself.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../src/client/slicer-client.ts';
import { VsockDevice } from '../test/live/vsock-device.ts';
import { WireAgent } from '../test/live/wire-agent.ts';
import { compileForGuest } from '../test/vm/guest-programs.ts';
import type { Figure } from './figure.ts';
import { Lab } from './lab.ts';
import { summarise } from './statistics.ts';

const SLICER = join(import.meta.dirname, '../bin/slicer');
/** In turns, so that what else the machine does is in both. */
const TURNS = 4;
const TURN_MS = 2_000;
const PROGRAM = '/tmp/hostile';
const ATTACKS: readonly (readonly string[])[] = [
  ['connections', '10000'], ['heads', '100000000'], ['bodies', '100000000'], ['slow-write', '1000'], ['slow-read', '1000'], ['pipeline', '1000'],
  ['half-close', '1000'], ['churn', '2000'], ['keys', '100000'], ['hellos', '100000'],
];
/** What the guest itself takes of the processors, which under emulation is one of them, whatever it does. */
const BUSY = ['sh', '-c', `i=0; end=$(($(date +%s) + ${TURN_MS / 1000})); while [ $(date +%s) -lt $end ]; do i=$((i+1)); done`];

const IDLE = ['sleep', String(TURN_MS / 1000)];

export async function hostileFigures(): Promise<Figure[]> {
  const lab = new Lab();
  const directory = mkdtempSync(join(tmpdir(), 'slicer-bench-'));
  const device = await VsockDevice.listen(join(directory, 'vm.vsock'));
  try {
    await lab.serve(['    - {name: vm, count: 0, vcpu: 1, ram_mb: 192, image: tiny, secrets: none}']);
    lab.slicer(['secret', 'create', 'shared', '--no-wait'], 'before');
    const vm = lab.slicer(['vm', 'launch', 'vm', '--wait']).trim().split('\n').at(-1) as string;
    lab.slicer(['vm', 'exec', vm, '--shell', '--', `cat > ${PROGRAM} && chmod 755 ${PROGRAM}`], compileForGuest('hostile'));
    const neighbour = new WireAgent(device);
    neighbour.wantsSession = true;
    lab.slicer(['attach', '--url=./slicer.sock', '--name=neighbour', `--vsock=${device.path}`, '--secret=shared']);
    await neighbour.establish();
    await neighbour.sync();
    const during = (words: readonly string[]): Promise<number[]> => changesDuring(lab, neighbour, ['vm', 'exec', vm, '--uid=1000', '--', ...words]);
    const figures: Figure[] = [];
    const idle: number[] = await during(IDLE);
    for (const [name = '', count = ''] of ATTACKS) {
      const reference: number[] = [];
      const measured: number[] = [];
      for (let turn = 0; turn < TURNS; turn += 1) {
        reference.push(...await during(BUSY));
        measured.push(...await during([PROGRAM, name, count, String(TURN_MS)]));
      }
      const summaries = { measured: summarise(measured), reference: summarise(reference) };
      figures.push({ name: `another VM's change while a guest attacks: ${name}, against one that is as busy`, unit: 'ms', limit: 2, by: 'p50', ...summaries });
    }
    idle.push(...await during(IDLE));
    figures.push({ name: 'another VM\'s change while nothing else happens, before and after', unit: 'ms', by: 'p50', measured: summarise(idle) });
    neighbour.close();
    return figures;
  } finally {
    await lab.stop();
    await device.close();
    rmSync(directory, { recursive: true });
  }
}

/** Milliseconds from the request that changes a secret until the neighbour has the bytes, again and again. */
async function changesDuring(lab: Lab, neighbour: WireAgent, args: readonly string[]): Promise<number[]> {
  const attacker = spawn(SLICER, args, { cwd: lab.directory, stdio: 'ignore' });
  let isOver = false;
  const ended = once(attacker, 'exit').then(() => { isOver = true; });
  const client = createClient({ addresses: [{ kind: 'unix', path: join(lab.directory, 'slicer.sock') }], token: undefined });
  const samples: number[] = [];
  for (let change = 0; !isOver; change += 1) {
    const polled = neighbour.sync(true);
    const beganNs = process.hrtime.bigint();
    const changed = client.updateSecret('shared', { data: Buffer.from(`${args[5]} ${change}`).toString('base64') });
    await polled;
    samples.push(Number(process.hrtime.bigint() - beganNs) / 1e6);
    await changed;
  }
  await ended;
  return samples;
}
