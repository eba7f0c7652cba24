// How soon a VM is shown as failed that can't go on: a microvm whose VSOCK process ends, since QEMU's microvm has no bus
// on which another could take its place.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '../src/client/slicer-client.ts';
import { isVsockDevice, processesOf } from '../test/vm/processes.ts';
import type { Figure } from './figure.ts';
import { Lab } from './lab.ts';
import { summarise } from './statistics.ts';

const ROUNDS = 5;
const LIMIT_MS = 1_000;
const GIVE_UP_MS = 60_000;
const LOOK_MS = 2;

/** From SIGKILL until the API says so. */
export async function vsockLostFigure(): Promise<Figure> {
  const lab = new Lab();
  try {
    await lab.serve(['    - {name: vm, count: 0, vcpu: 1, ram_mb: 192, image: tiny, secrets: none}']);
    const client = createClient({ addresses: [{ kind: 'unix', path: join(lab.directory, 'slicer.sock') }], token: undefined });
    const samples: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const vm = lab.slicer(['vm', 'launch', 'vm', '--wait', '--machine=microvm']).trim().split('\n').at(-1) as string;
      const device = processesOf(join(lab.directory, '.slicer/vms', vm)).find(isVsockDevice);
      if (device === undefined) throw new Error(`${vm} has no VSOCK process: it would be the kernel's`);
      const hasFailed = async (): Promise<boolean> => (await client.listNodes()).some(({ hostname, status }) => hostname === vm && status === 'Failed');
      const began = performance.now();
      process.kill(device.pid, 'SIGKILL');
      while (!await hasFailed()) {
        if (performance.now() - began > GIVE_UP_MS) throw new Error(`${vm} is not shown as failed after ${GIVE_UP_MS} ms`);
        await delay(LOOK_MS);
      }
      samples.push(performance.now() - began);
      lab.slicer(['vm', 'delete', vm]);
    }
    return { name: 'a microvm is shown as failed, since its VSOCK process was killed', unit: 'ms', limit: LIMIT_MS, by: 'p50', measured: summarise(samples) };
  } finally {
    await lab.stop();
  }
}
