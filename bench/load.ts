// The area `load`: figures, and the plot of the cost for each VM.
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Figure } from './figure.ts';
import { LOAD_PLAN, realAgentFigures, scaleFigures } from './load/figures.ts';
import { plot } from './load/plot.ts';
import { machineClass } from './machine-class.ts';

export const PLOT_FILE = resolve(import.meta.dirname, '../build/load.svg');

export async function loadFigures(): Promise<Figure[]> {
  const real = await realAgentFigures(LOAD_PLAN);
  const { figures, points } = await scaleFigures(LOAD_PLAN);
  mkdirSync(resolve(PLOT_FILE, '..'), { recursive: true });
  writeFileSync(PLOT_FILE, plot(points, `${new Date().toISOString().slice(0, 10)}, ${machineClass()}`));
  return [...real, ...figures];
}
