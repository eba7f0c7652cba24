// Every figure that depends on time, beside a reference in the same run. Prints a table, writes JSON.
// Nothing here is asserted in a test: figures are measured.
//
//   npm run bench -- [--docs] [AREA…]     all areas unless some are named; --docs puts the figures into docs/load.md
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bootFigures } from './boot.ts';
import { commandFigure } from './command.ts';
import { table, type Figure } from './figure.ts';
import { guestFigures, type GuestPlan } from './guest.ts';
import { hostileFigures } from './hostile.ts';
import { Lab } from './lab.ts';
import { loadFigures } from './load.ts';
import { writeDocs } from './load-docs.ts';
import { machineClass } from './machine-class.ts';
import { pushFigures } from './push.ts';
import { runOverheadFigure } from './run-overhead.ts';
import { vsockLostFigure } from './vsock-lost.ts';

const JSON_FILE = resolve(import.meta.dirname, '../build/bench.json');

/** 10 secrets as most VMs have, and 1,000 of 1 KiB. */
const PLANS: readonly GuestPlan[] = [
  { group: 'few', secrets: 10, rounds: 15, changes: 300, unchanged: false },
  { group: 'many', secrets: 1000, rounds: 7, changes: 0, unchanged: true },
];

const AREAS: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  guest: guestArea,
  run: async () => [await runOverheadFigure()],
  boot: bootFigures,
  push: pushFigures,
  load: loadFigures,
  hostile: hostileFigures,
};

async function guestArea(): Promise<Figure[]> {
  const lab = new Lab();
  const figures: Figure[] = [];
  try {
    await lab.start(Object.fromEntries(PLANS.map(({ group, rounds }) => [group, rounds])));
    let created = 0;
    for (const plan of PLANS) {
      for (; created < plan.secrets; created += 1) {
        lab.slicer(['secret', 'create', `s${created}`, '--no-wait'], randomBytes(1024));
      }
      if (figures.length === 0) figures.push(commandFigure(lab, created));
      figures.push(...await guestFigures(lab, plan));
    }
  } finally {
    await lab.stop();
  }
  figures.push(await vsockLostFigure());
  return figures;
}

const { values: { docs }, positionals } = parseArgs({ options: { docs: { type: 'boolean', default: false } }, allowPositionals: true });
const wanted = positionals.length > 0 ? positionals : Object.keys(AREAS);
const unknown = wanted.filter((area) => !Object.hasOwn(AREAS, area));
if (unknown.length > 0) throw new Error(`no area ${unknown.join(', ')}; there are ${Object.keys(AREAS).join(', ')}`);
const figures: Figure[] = [];
const failed: string[] = [];
for (const area of wanted) {
  const begin = performance.now();
  try {
    figures.push(...await (AREAS[area] as () => Promise<readonly Figure[]>)());
  } catch (error) {
    console.error(`bench: ${area} failed:`, error);
    failed.push(area);
  }
  console.error(`bench: ${area} took ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  // After each: what took minutes is not lost when the next one fails, or is stopped.
  mkdirSync(resolve(JSON_FILE, '..'), { recursive: true });
  writeFileSync(JSON_FILE, `${JSON.stringify({ measured: new Date().toISOString(), machine: machineClass(), figures, failed }, undefined, 2)}\n`);
  if (docs) writeDocs(figures, failed);
}
console.log(table(figures));
console.log(`\nwritten to ${JSON_FILE}`);
if (failed.length > 0) {
  console.error(`bench: there are no figures of ${failed.join(', ')}`);
  // An area that failed may have left a server open.
  process.exit(1);
}
