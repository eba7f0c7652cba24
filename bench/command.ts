// What a command costs before it does anything: `slicer secret list` against an empty Node.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import type { Figure } from './figure.ts';
import type { Lab } from './lab.ts';
import { summarise } from './statistics.ts';

const ROUNDS = 30;
const SLICER = resolve(import.meta.dirname, '../bin/slicer');

function durationMs(program: string, args: readonly string[], cwd: string): number {
  const begin = process.hrtime.bigint();
  const { status } = spawnSync(program, args, { cwd, stdio: 'ignore' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed`);
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

/** Both run the same Node, in turns. */
export function commandFigure(lab: Lab, secrets: number): Figure {
  const measured: number[] = [];
  const reference: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    reference.push(durationMs(process.execPath, ['-e', '0'], lab.directory));
    measured.push(durationMs(process.execPath, [SLICER, 'secret', 'list'], lab.directory));
  }
  return {
    name: `slicer secret list of ${secrets} secrets, against node -e 0`, unit: 'ms', limit: 2, by: 'p50',
    measured: summarise(measured), reference: summarise(reference),
  };
}
