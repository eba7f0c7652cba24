// The figures under load: a thousand real agents, and up to 8,000 simulated ones, behind one daemon.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Figure } from '../figure.ts';
import { SECRET_BYTES } from '../measured-daemon.ts';
import { summarise } from '../statistics.ts';
import { simulatedAgents, realAgents, type Agents } from './agents.ts';
import { BareHost } from './bare-host.ts';
import { LoadHost } from './host.ts';
import { withInotifyInstances } from './inotify-limit.ts';
import type { ScalePoint } from './plot.ts';

const SECRETS = Array.from({ length: 20 }, (_, index) => `s${index}`);
const ALL = new Set(SECRETS);
const SHARED = new Set(['s0']);

/** A reference of 0.7 of the throughput takes so many times as long. */
const TIMES_AT_SEVEN_TENTHS = 1 / 0.7;

/** The store looks at its directory once more half a second after a change: that is part of what one costs. */
const AFTER_CHANGE_MS = 700;
const IDLE_MS = 60_000;
/** The connections for all that is no poll are closed after 75 s; what is idle begins then. */
const UNTIL_IDLE_MS = 80_000;
/** Of the daemon, and for sessions that are being made. */
const OTHER_DESCRIPTORS = 500;
const WAIT_MS = 30_000;

export interface LoadPlan {
  readonly agents: number;
  readonly rounds: number;
  /** Numbers of VMs with simulated agents, ascending. */
  readonly scale: readonly number[];
}

export const LOAD_PLAN: LoadPlan = { agents: 1000, rounds: 7, scale: [10, 100, 1000, 2000, 4000, 8000] };

/** The figure of which the plot has all points. */
export const PLOTTED = 'cost of a change for each VM';

const fresh = (names: ReadonlySet<string>): ReadonlyMap<string, Uint8Array> =>
  new Map([...names].map((name) => [name, randomBytes(SECRET_BYTES)]));

interface Cost {
  /** Until the last agent had it. */
  readonly tookMs: number;
  /** Of the host's process, with what comes after. */
  readonly processorMs: number;
}

/** A change of these secrets, on either host. */
async function changeCost(host: LoadHost | BareHost, agents: Agents, names: ReadonlySet<string>): Promise<Cost> {
  await host.prepare(fresh(names));
  const before = host.processorMs();
  const begin = await host.change(names);
  const end = await agents.round(names.size);
  await delay(AFTER_CHANGE_MS);
  return { tookMs: Number(end - begin) / 1e6, processorMs: host.processorMs() - before };
}

/** In turns, after one of each that is not counted. */
async function inTurns(rounds: number, measured: () => Promise<Cost>, reference: () => Promise<Cost>): Promise<{ measured: Cost[]; reference: Cost[] }> {
  const costs = { measured: [] as Cost[], reference: [] as Cost[] };
  await measured();
  await reference();
  for (let round = 0; round < rounds; round += 1) {
    costs.reference.push(await reference());
    costs.measured.push(await measured());
  }
  return costs;
}

const times = (costs: readonly Cost[]) => summarise(costs.map(({ tookMs }) => tookMs));
const processor = (costs: readonly Cost[]) => summarise(costs.map(({ processorMs }) => processorMs));

async function loadHost(): Promise<LoadHost> {
  const host = new LoadHost();
  await host.daemon.ready();
  host.prepare(fresh(ALL));
  host.change(ALL);
  await delay(AFTER_CHANGE_MS);
  return host;
}

/** The agent itself, as many processes as there are VMs. */
export async function realAgentFigures({ agents: count, rounds }: LoadPlan): Promise<Figure[]> {
  return withInotifyInstances(2 * count + 100, async () => {
    const host = await loadHost();
    const bare = new BareHost();
    const stops: (() => Promise<void>)[] = [() => host.stop(), () => bare.stop()];
    try {
      await host.attach(0, count, SECRETS);
      await bare.listen(0, count);
      const agents = await realAgents(host.sockets, count);
      stops.unshift(() => agents.stop());
      const bareAgents = await realAgents(bare.sockets, count);
      stops.unshift(() => bareAgents.stop());
      await bare.open(0, count);
      await agents.round(ALL.size);
      await delay(AFTER_CHANGE_MS);

      const sync = await inTurns(rounds, () => changeCost(host, agents, ALL), () => changeCost(bare, bareAgents, ALL));
      const one = await inTurns(rounds, () => changeCost(host, agents, SHARED), () => changeCost(bare, bareAgents, SHARED));
      const answered: number[] = [];
      for (let round = 0; round < rounds; round += 1) answered.push(await updateMs(host, agents));
      const idle = await idleShare(host, agents);
      const many = count.toLocaleString('en');
      return [
        {
          name: `${many} agents sync 20 secrets at once, until the last holds them; against bare node:http`, unit: 'ms', by: 'p50',
          limit: TIMES_AT_SEVEN_TENTHS, measured: times(sync.measured), reference: times(sync.reference),
        },
        {
          name: `one shared secret changes, until the last of ${many} agents has applied it; against bare node:http`, unit: 'ms', by: 'p50',
          measured: times(one.measured), reference: times(one.reference),
        },
        {
          name: `the same: time on a processor of the daemon; against the bare server`, unit: 'ms', by: 'p50',
          measured: processor(one.measured), reference: processor(one.reference),
        },
        { name: `secret update --wait of a secret that ${many} agents hold`, unit: 'ms', by: 'p50', measured: summarise(answered) },
        {
          name: `${many} idle agents: the daemon's share of a processor in 60 s`, unit: '%', by: 'p50', limit: 1, measured: summarise([idle.daemon]),
        },
        { name: `${many} idle agents: their own share of a processor, all together`, unit: '%', by: 'p50', measured: summarise([idle.agents]) },
      ];
    } finally {
      for (const stop of stops) await stop();
    }
  });
}

/** From the request until the answer that all of them hold it. */
async function updateMs(host: LoadHost, agents: Agents): Promise<number> {
  const begin = performance.now();
  const pending = await host.daemon.change('s0', WAIT_MS);
  const tookMs = performance.now() - begin;
  if (pending.length > 0) throw new Error(`${pending.length} VMs did not follow in ${WAIT_MS} ms`);
  await agents.round(1);
  await delay(AFTER_CHANGE_MS);
  return tookMs;
}

/** Percent of one processor. */
async function idleShare(host: LoadHost, agents: Agents): Promise<{ daemon: number; agents: number }> {
  await delay(UNTIL_IDLE_MS);
  const before = { daemon: host.processorMs(), agents: agents.processorMs() };
  await delay(IDLE_MS);
  const share = (beforeMs: number, afterMs: number): number => ((afterMs - beforeMs) / IDLE_MS) * 100;
  return { daemon: share(before.daemon, host.processorMs()), agents: share(before.agents, agents.processorMs()) };
}

/** Simulated agents, more and more of them behind one daemon. */
export async function scaleFigures({ agents: count, rounds, scale }: LoadPlan): Promise<{ figures: Figure[]; points: ScalePoint[] }> {
  const host = await loadHost();
  const bare = new BareHost();
  const stops: (() => Promise<void>)[] = [() => host.stop(), () => bare.stop()];
  const fleets: { host: Agents[]; bare: Agents[] } = { host: [], bare: [] };
  const points: ScalePoint[] = [];
  const figures: Figure[] = [];
  try {
    let there = 0;
    let first: { vms: number; residentBytes: number } | undefined;
    for (const vms of scale.filter((number) => number <= vmsMax())) {
      const more = vms - there;
      await bare.listen(there, more);
      for (const side of ['host', 'bare'] as const) {
        const agents = await simulatedAgents({ host, bare }[side].sockets, there, more);
        fleets[side].push(agents);
        stops.unshift(() => agents.stop());
      }
      await host.attach(there, more, SECRETS);
      await fleets.host.at(-1)?.round(ALL.size);
      await bare.open(there, more);
      there = vms;
      const { residentBytes } = await host.daemon.memory();
      first ??= { vms, residentBytes };
      const [agents, bareAgents] = [together(fleets.host), together(fleets.bare)];
      if (vms === count) {
        const sync = await inTurns(rounds, () => changeCost(host, agents, ALL), () => changeCost(bare, bareAgents, ALL));
        // Agents that do nothing with what they get: all that the host does besides shows.
        figures.push({
          name: `${vms.toLocaleString('en')} simulated agents take 20 secrets at once; against bare node:http`, unit: 'ms', by: 'p50',
          measured: times(sync.measured), reference: times(sync.reference),
        });
      }
      const one = await inTurns(rounds, () => changeCost(host, agents, SHARED), () => changeCost(bare, bareAgents, SHARED));
      points.push({
        vms, tookMs: times(one.measured), processorMs: processor(one.measured), referenceProcessorMs: processor(one.reference),
        bytesPerVm: vms === first.vms ? 0 : (residentBytes - first.residentBytes) / (vms - first.vms),
      });
    }
    return { figures: [...figures, ...figuresOf(points, count)], points };
  } finally {
    for (const stop of stops) await stop();
  }
}

/** A VM takes two descriptors of whoever serves it. */
function vmsMax(): number {
  const limit = /^Max open files +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : (Number(limit) - OTHER_DESCRIPTORS) / 2;
}

/** A round of several: over when the last one's is. */
function together(fleet: readonly Agents[]): Agents {
  const all = [...fleet];
  return {
    round: async (files) => (await Promise.all(all.map((agents) => agents.round(files)))).reduce((last, time) => (time > last ? time : last)),
    processorMs: () => all.reduce((sum, agents) => sum + agents.processorMs(), 0),
    stop: async () => {},
  };
}

function figuresOf(points: readonly ScalePoint[], count: number): Figure[] {
  const per = ({ vms, processorMs }: ScalePoint) => {
    const { p50, p99, min, max } = processorMs;
    const micros = (ms: number): number => (ms * 1000) / vms;
    return { count: processorMs.count, p50: micros(p50), p99: micros(p99), min: micros(min), max: micros(max) };
  };
  const [last] = points.slice(-1) as [ScalePoint];
  const base = points.find(({ vms }) => vms === count) ?? last;
  const number = (vms: number): string => vms.toLocaleString('en');
  return [
    {
      name: `one shared secret changes, until the last of ${number(last.vms)} simulated agents has it`, unit: 'ms', by: 'p50', measured: last.tookMs,
    },
    {
      name: `the same: time on a processor of the daemon; against the bare server`, unit: 'ms', by: 'p50',
      measured: last.processorMs, reference: last.referenceProcessorMs,
    },
    {
      name: `${PLOTTED}: with ${number(last.vms)}, against with ${number(base.vms)}`, unit: 'µs', by: 'p50', limit: 1.2,
      measured: per(last), reference: per(base),
    },
    ...points.filter(({ vms }) => vms >= count).map(({ vms, bytesPerVm }): Figure => ({
      name: `memory of the daemon for each idle VM, with ${number(vms)}`, unit: 'KB', by: 'p50', limit: 100, measured: summarise([bytesPerVm / 1000]),
    })),
  ];
}
