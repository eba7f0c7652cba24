// Figures of one guest: the first sync, a sync with nothing changed, a change, and what the agent costs.
import { once } from 'node:events';
import { statSync, watch } from 'node:fs';
import type { Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { createClient, type SlicerClient } from '../src/client/slicer-client.ts';
import type { Figure } from './figure.ts';
import type { Lab } from './lab.ts';
import { serveReference } from './reference-server.ts';
import { summarise } from './statistics.ts';

export interface GuestPlan {
  readonly group: string;
  readonly secrets: number;
  readonly rounds: number;
  readonly changes: number;
  /** Whether a sync with nothing changed is a figure; with few secrets it measures the round trip alone. */
  readonly unchanged: boolean;
}

const AGENT = resolve(import.meta.dirname, '../build/slicer-agent-x86_64');
const NS_PER_MS = 1e6;

export async function guestFigures(lab: Lab, plan: GuestPlan): Promise<Figure[]> {
  const names = Array.from({ length: plan.secrets }, (_, index) => `s${index}`);
  const hostname = lab.slicer(['vm', 'launch', plan.group, `--secrets=${names.join(',')}`]).trim();
  const server = await serveReference(lab.vsockPath(hostname));
  const results = await lab.results(hostname);
  const milliseconds = (name: string) => summarise((results.get(name) ?? []).map((ns) => ns / NS_PER_MS));
  const figures: Figure[] = [
    {
      name: `first sync of ${plan.secrets} secrets of 1 KiB, from the start of the program`, unit: 'ms', limit: 1.5, by: 'p50',
      measured: milliseconds('set-agent'), reference: milliseconds('set-reference'),
    },
    {
      name: `agent's peak memory with ${plan.secrets} secrets`, unit: 'MB', limit: 4, by: 'p50',
      measured: summarise((results.get('agent-peak-kib') ?? []).map((kib) => kib / 1024)),
    },
    {
      name: 'agent\'s wake-ups in 20 s without a change', unit: 'count', limit: 0, by: 'p50',
      measured: summarise(results.get('idle-wakeups') ?? []),
    },
  ];
  if (plan.unchanged) {
    figures.push({
      name: `sync with nothing changed, ${plan.secrets} secrets held`, unit: 'ms', limit: 1.5, by: 'p50',
      measured: summarise(results.get('unchanged-agent') ?? []), reference: milliseconds('unchanged-reference'),
    });
  }
  if (plan.changes > 0) figures.push(...await changeFigures(lab, plan, server));
  server.close();
  lab.slicer(['vm', 'delete', hostname]);
  return figures;
}

/**
 * From the store's rename (inotify on the host) until a witness in the guest, which inotify wakes, has told
 * the host; against host to guest and back with one write and one rename in between.
 */
async function changeFigures(
  lab: Lab, plan: GuestPlan, server: Awaited<ReturnType<typeof serveReference>>,
): Promise<Figure[]> {
  const responder = await server.announced('RESPOND');
  const witness = await server.announced('WITNESS');
  const client = createClient({ addresses: [{ kind: 'unix', path: join(lab.directory, 'slicer.sock') }], token: undefined });
  const measured: number[] = [];
  const reference: number[] = [];
  for (let round = 0; round < plan.changes; round += 1) {
    reference.push(await elapsedMs(async () => {
      responder.write('c');
      await once(responder, 'data');
    }));
    measured.push(await changeMs(lab, client, witness, round));
  }
  const name = 'a change, from the store\'s rename to the guest\'s file';
  const summaries = { measured: summarise(measured), reference: summarise(reference) };
  return [
    { name: `${name}, p50`, unit: 'ms', limit: 3, by: 'p50', ...summaries },
    { name: `${name}, p99`, unit: 'ms', limit: 3, by: 'p99', ...summaries },
    {
      name: 'agent binary', unit: 'MB', limit: 2.5, by: 'p50', measured: summarise([statSync(AGENT).size / 1e6]),
    },
  ];
}

async function changeMs(lab: Lab, client: SlicerClient, witness: Socket, round: number): Promise<number> {
  const watcher = watch(join(lab.directory, '.secrets'));
  let renamedNs = 0n;
  watcher.on('change', (_, file) => {
    if (file === 's0' && renamedNs === 0n) renamedNs = process.hrtime.bigint();
  });
  const seen = once(witness, 'data');
  const changed = client.updateSecret('s0', { data: Buffer.from(`value ${round}`).toString('base64') });
  await seen;
  const seenNs = process.hrtime.bigint();
  await changed;
  watcher.close();
  return Number(seenNs - renamedNs) / NS_PER_MS;
}

async function elapsedMs(step: () => Promise<void>): Promise<number> {
  const begin = process.hrtime.bigint();
  await step();
  return Number(process.hrtime.bigint() - begin) / NS_PER_MS;
}
