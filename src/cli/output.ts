// What a command writes: tables and JSON to stdout, everything else to stderr.
import { errorLines, type SlicerError } from '../errors/slicer-error.ts';
import type { Context } from './context.ts';
import { escapeLine } from './terminal-text.ts';

/** A message for the person at the terminal. */
export function say(context: Context, message: string): void {
  context.stderr.write(`${escapeLine(message)}\n`);
}

export function warn(context: Context, fact: string): void {
  say(context, `slicer: warning: ${fact}`);
}

export function sayError(context: Context, error: SlicerError): void {
  for (const line of errorLines(error)) say(context, line);
}

export function printLine(context: Context, line: string): void {
  context.stdout.write(`${escapeLine(line)}\n`);
}

export function printJson(context: Context, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export interface Column {
  readonly title: string;
  /** Characters up to the next column; grows with the longest cell. */
  readonly width?: number;
}

/** Titles, a rule under each, rows. An empty cell is `-`, so that a row has as many words as columns. */
export function printTable(context: Context, columns: readonly Column[], rows: readonly (readonly string[])[]): void {
  const cells = rows.map((row) => row.map((cell) => (cell === '' ? '-' : escapeLine(cell))));
  const lines = [columns.map(({ title }) => title), columns.map(({ title }) => '-'.repeat(title.length)), ...cells];
  const widths = columns.map(({ width = 0 }, index) =>
    Math.max(width, ...lines.map((line) => (line[index] as string).length + 2)),
  );
  for (const line of lines) {
    const padded = line.map((cell, index) => (index === line.length - 1 ? cell : cell.padEnd(widths[index] as number)));
    context.stdout.write(`${padded.join('')}\n`);
  }
}
