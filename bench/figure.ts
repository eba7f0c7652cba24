// A figure: what was measured, beside what it is held against in the same run.
import type { Summary } from './statistics.ts';

export interface Figure {
  readonly name: string;
  readonly unit: 'ms' | 'µs' | 'MB' | 'KB' | '%' | 'count' | 'ratio';
  readonly measured: Summary;
  /** The same work done by the shortest way; absent where the limit is absolute. */
  readonly reference?: Summary;
  /** At most this many times the reference, or this much of the unit where there is none; absent where none was set. */
  readonly limit?: number;
  /** Which percentile the limit is about. */
  readonly by: 'p50' | 'p99';
}

/** What is compared with the limit: a ratio to the reference, or the figure itself. */
export function outcome({ measured, reference, by }: Figure): number {
  return reference === undefined ? measured[by] : measured[by] / reference[by];
}

const COLUMNS = ['figure', 'p50', 'p99', 'min–max', 'reference p50', 'p99', 'min–max', 'outcome', 'limit', ''] as const;

function verdict(result: number, limit: number | undefined, suffix: string): [limit: string, word: string] {
  if (limit === undefined) return ['–', ''];
  return [`${Number(limit.toFixed(2))}${suffix}`, result <= limit ? 'holds' : 'FALLS SHORT'];
}

/** A figure in words, for each of `COLUMNS`. */
function cells(figure: Figure): string[] {
  const { name, unit, measured, reference, limit } = figure;
  const show = (value: number): string => (unit === 'count' ? String(value) : value.toFixed(2));
  const columns = (summary: Summary | undefined): string[] =>
    summary === undefined ? ['–', '–', '–'] : [show(summary.p50), show(summary.p99), `${show(summary.min)}–${show(summary.max)}`];
  const result = outcome(figure);
  const suffix = reference === undefined ? ` ${unit}` : ' times';
  return [`${name} [${unit}]`, ...columns(measured), ...columns(reference), `${result.toFixed(2)}${suffix}`, ...verdict(result, limit, suffix)];
}

/** The table that `npm run bench` prints. */
export function table(figures: readonly Figure[]): string {
  const all = [[...COLUMNS], ...figures.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...all.map((row) => (row[column] as string).length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] as number)).join('  ').trimEnd()).join('\n');
}

/** The same in Markdown, with medians alone. */
export function markdown(figures: readonly Figure[]): string {
  const rows = figures.map(cells).map(([name, p50, , spread, referenceP50, , , result, limit, word]) =>
    [name, `${p50} (${spread})`, referenceP50, result, limit, word]);
  const head = [['figure', 'median (least to most)', 'reference', 'result', 'limit', ''], ['---', '---', '---', '---', '---', '---']];
  return [...head, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
