// npm run soak: for half an hour secrets change, commands run, VMs are launched and deleted and one is reset, and
// then the memory and the descriptors of the daemon, and of an agent in a VM that stays, are as they were. Prints
// the slope of each with its error; the exit code is 1 when one grows.
//
//   npm run soak -- [MINUTES]     30 unless told otherwise
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SlicerError } from '../src/errors/slicer-error.ts';
import { machineClass } from './machine-class.ts';
import { MeasuredDaemon, newValue } from './measured-daemon.ts';
import { grows, slopeOf, type Sample } from './slope.ts';

const MINUTES = Number(process.argv[2] ?? 30);
const SAMPLE_MS = 20_000;
/** A heap snapshot holds the daemon up. */
const SAMPLES_FOR_SNAPSHOT = 4;
/** Compiled code, caches and pools fill at first. */
const WARM_UP_SHARE = 1 / 4;
const HOUR_MS = 3_600_000;
const SECRETS = 10;
const READY_MS = 120_000;
const FOLLOW_MS = 2_000;
/** Changes, or commands, one after the other that the VM that stays may be late with. */
const LATE_MAX = 30;
/** Of an agent that does not get to answer. */
const BUSY = new Set(['agent_unreachable', 'too_many_requests']);
/** Between two of a kind: other work of the machine has its turn. */
const PACE_MS = { changes: 100, commands: 200, launches: 5_000, resets: 15_000 };

/**
 * What may grow in an hour without growing: what samples of half an hour can't tell from nothing. Of the whole heap
 * there is no such bound: V8 compiles on for hours, as functions that run seldom have run often enough.
 */
const SERIES = {
  'daemon: objects [KB]': 512,
  'daemon: heap with compiled code [KB]': Number.POSITIVE_INFINITY,
  'daemon: resident memory [KB]': 8192,
  'daemon: descriptors': 1,
  'agent: resident memory [KB]': 64,
  'agent: descriptors': 1,
} as const;
type Series = keyof typeof SERIES;

const directory = mkdtempSync(join(tmpdir(), 'slicer-soak-'));
const daemon = new MeasuredDaemon(directory, ['    - {name: vm, count: 0, vcpu: 1, ram_mb: 256, secrets: all}']);
const { client } = daemon;
const samples = Object.fromEntries(Object.keys(SERIES).map((name) => [name, [] as Sample[]])) as unknown as Record<Series, Sample[]>;
const done = { changes: 0, commands: 0, launches: 0, resets: 0, replacements: 0, unanswered: 0 };
let isOver = false;

try {
  await daemon.ready();
  for (let number = 0; number < SECRETS; number += 1) await client.createSecret({ name: `s${number}`, data: newValue() });
  const stays = await launch();
  const restarts = await launch(['s0']);
  const ends = Date.now() + MINUTES * 60_000;
  const begin = Date.now();
  const work = [changes(stays), commands(stays), launches(), resets(restarts)];
  const failed = Promise.all(work).then(() => undefined);
  // Reported when it is waited for below.
  failed.catch(() => (isOver = true));
  while (Date.now() < ends && !isOver) {
    await delay(SAMPLE_MS);
    await sample(stays, (Date.now() - begin) / HOUR_MS);
  }
  isOver = true;
  await failed;
  report();
} finally {
  await daemon.stop();
  rmSync(directory, { recursive: true });
}

async function launch(secrets?: readonly string[]): Promise<string> {
  return (await client.launchNode('vm', secrets === undefined ? {} : { secrets: [...secrets] }, { wait: 'agent', timeoutMs: READY_MS })).hostname;
}

async function changes(stays: string): Promise<void> {
  let late = 0;
  for (; !isOver; done.changes += 1) {
    const pending = await daemon.change(`s${1 + (done.changes % (SECRETS - 1))}`, FOLLOW_MS);
    late = pending.includes(stays) ? late + 1 : 0;
    if (late > LATE_MAX) throw new Error(`${stays} follows no change any more`);
    await delay(PACE_MS.changes);
  }
}

async function commands(vm: string): Promise<void> {
  for (; !isOver; done.commands += 1) {
    await answered(vm, `head -c ${(done.commands % 64) * 1024} /dev/zero`);
    await delay(PACE_MS.commands);
  }
}

async function launches(): Promise<void> {
  for (; !isOver; done.launches += 1) {
    await client.deleteNode(await launch());
    await delay(PACE_MS.launches);
  }
}

/**
 * The next one when the agent is back. Nothing is said to the guest meanwhile: its VSOCK device may not bear it. A
 * VM that it ends for is replaced, as docs/operations.md says, and counted.
 */
async function resets(first: string): Promise<void> {
  let vm = first;
  for (; !isOver; done.resets += 1) {
    await output(vm, 'echo b > /proc/sysrq-trigger').catch(() => '');
    if (!await isBack(vm)) {
      done.replacements += 1;
      await client.deleteNode(vm);
      vm = await launch(['s0']);
    }
    await delay(PACE_MS.resets);
  }
}

async function isBack(vm: string): Promise<boolean> {
  const latest = Date.now() + READY_MS;
  for (;;) {
    await delay(200);
    if ((await client.vmSecrets(vm)).connected) return true;
    if (Date.now() > latest) return false;
  }
}

/** A guest whose machine has much other work may be late with its answer, too, and is asked again. */
async function answered(vm: string, command: string): Promise<string> {
  for (let late = 0; ; late += 1) {
    try {
      return await output(vm, command);
    } catch (error) {
      if (late === LATE_MAX || !(error instanceof SlicerError) || !BUSY.has(error.code)) throw error;
      done.unanswered += 1;
    }
  }
}

async function output(vm: string, command: string): Promise<string> {
  let text = '';
  for await (const event of client.exec(vm, { command: [command], shell: '/bin/sh' })) {
    if (event.type === 'stdout') text += Buffer.from(event.data).toString();
  }
  return text;
}

async function sample(vm: string, atHours: number): Promise<void> {
  const memory = await daemon.memory();
  const descriptors = daemon.descriptors();
  // The agent that is process 1's is the oldest of its name; others are commands that it is about to run.
  const said = await answered(vm, 'set -- $(pidof slicer-agent | tr " " "\\n" | sort -n); grep VmRSS: /proc/$1/status; ls /proc/$1/fd | wc -l');
  const [, residentKib = '', agentDescriptors = ''] = /VmRSS:\s+([0-9]+) kB\s+([0-9]+)/.exec(said) ?? [];
  const values: Partial<Record<Series, number>> = {
    ...(samples['daemon: descriptors'].length % SAMPLES_FOR_SNAPSHOT === 0 ? { 'daemon: objects [KB]': await daemon.objectBytes() / 1000 } : {}),
    'daemon: heap with compiled code [KB]': memory.heapBytes / 1000,
    'daemon: resident memory [KB]': memory.residentBytes / 1000,
    'daemon: descriptors': descriptors,
    'agent: resident memory [KB]': Number(residentKib) * 1.024,
    'agent: descriptors': Number(agentDescriptors),
  };
  for (const [name, number] of Object.entries(values)) samples[name as Series].push({ atHours, value: number });
  console.log(`${(atHours * 60).toFixed(1)} min  ${Object.values(values).map((number) => number.toFixed(0)).join('  ')}  (${counts()})`);
}

function counts(): string {
  return Object.entries(done).map(([what, count]) => `${count} ${what}`).join(', ');
}

function report(): void {
  console.log(`\n${new Date().toISOString().slice(0, 10)}, ${machineClass()}: ${MINUTES} minutes, ${counts()}`);
  for (const [name, all] of Object.entries(samples)) {
    const kept = all.slice(Math.ceil(all.length * WARM_UP_SHARE));
    const slope = slopeOf(kept);
    const isGrowing = grows(slope, SERIES[name as Series]);
    if (isGrowing) process.exitCode = 1;
    console.log(`${name}: ${kept[0]?.value.toFixed(0)} to ${kept.at(-1)?.value.toFixed(0)}, ${slope.perHour.toFixed(1)} ± ${slope.error.toFixed(1)} an hour, ${verdict(SERIES[name as Series], isGrowing)}`);
  }
}

function verdict(allowed: number, isGrowing: boolean): string {
  return Number.isFinite(allowed) ? `at most ${allowed}: ${isGrowing ? 'GROWS' : 'flat'}` : 'no bound';
}
