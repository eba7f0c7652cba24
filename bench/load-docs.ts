// Puts the figures of a run into docs/load.md, where the last ones stand, and the plot beside it.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { markdown, type Figure } from './figure.ts';
import { PLOT_FILE } from './load.ts';
import { PLOTTED } from './load/figures.ts';
import { machineClass } from './machine-class.ts';

const DOCS = resolve(import.meta.dirname, '../docs');
const [BEGIN, END] = ['<!-- figures -->', '<!-- end of figures -->'];

/** With the plot where this run has made one. `failed`: areas that were asked for and have no figures. */
export function writeDocs(figures: readonly Figure[], failed: readonly string[]): void {
  const file = resolve(DOCS, 'load.md');
  const text = readFileSync(file, 'utf8');
  const [before, rest] = text.split(`${BEGIN}\n`);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${file} has no place for figures`);
  const missing = failed.length > 0 ? ` What could not be measured in this run: ${failed.join(', ')}.` : '';
  const measured = `Measured ${new Date().toISOString().slice(0, 10)} on ${machineClass()}.${missing}`;
  const hasPlot = figures.some(({ name }) => name.startsWith(PLOTTED));
  const plot = hasPlot ? '\n![Processor time of one change for each VM](load.svg)\n' : '';
  writeFileSync(file, `${before}${BEGIN}\n${measured}\n\n${markdown(figures)}\n${plot}\n${END}${after}`);
  if (hasPlot) copyFileSync(PLOT_FILE, resolve(DOCS, 'load.svg'));
}
