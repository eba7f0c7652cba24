// What a run of the long tests came to, file by file, and its place in docs/testing.md, where the last one stands.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { machineClass } from '../bench/machine-class.ts';
import { CHECKOUT } from './build-steps.ts';
import type { TestEvent, TestGroup } from './test-run.ts';

const FILE = 'docs/testing.md';
const [BEGIN, END] = ['<!-- last run -->', '<!-- end of last run -->'];
/** A test's diagnostic that begins so says what it counted. */
const COUNTED = 'in all: ';

interface FileResult {
  passed: number;
  skipped: number;
  failed: number;
  ms: number;
  readonly counted: string[];
}

export class LongResults {
  readonly #files = new Map<string, FileResult>();
  readonly #beganAt = new Date();

  /** A group is one file: where a test stands may be another, which several share. */
  readonly observe = ({ type, data: { file, nesting, message = '', skip, details } }: TestEvent, { files }: TestGroup): void => {
    if (file === undefined || nesting !== 0) return;
    const name = basename(files[0] as string).replace(/\.test\..*$/, '');
    const result = this.#files.get(name) ?? { passed: 0, skipped: 0, failed: 0, ms: 0, counted: [] };
    this.#files.set(name, result);
    if (type === 'test:diagnostic' && message.startsWith(COUNTED)) result.counted.push(message.slice(COUNTED.length));
    if (type !== 'test:pass' && type !== 'test:fail') return;
    result.ms += details?.duration_ms ?? 0;
    result[type === 'test:fail' ? 'failed' : skip === undefined || skip === false ? 'passed' : 'skipped'] += 1;
  };

  /** Of this version, for who wants to know how old it is. */
  writeDocs(version: string): void {
    const file = join(CHECKOUT, FILE);
    const text = readFileSync(file, 'utf8');
    const [before, rest] = text.split(`${BEGIN}\n`);
    const after = rest?.split(END)[1];
    if (before === undefined || after === undefined) throw new Error(`${FILE} has no place for the last run`);
    const minutes = Math.round((Date.now() - this.#beganAt.getTime()) / 60_000);
    const measured = `\`npm run test:long -- --docs\`, ${this.#beganAt.toISOString().slice(0, 10)}, ${version}, on ${machineClass()}; ${minutes} minutes.`;
    writeFileSync(file, `${before}${BEGIN}\n${measured}\n\n${this.table()}\n${END}${after}`);
  }

  /** In Markdown, in the order in which the files ran. */
  table(): string {
    const rows = [...this.#files].map(([name, { passed, skipped, failed, ms, counted }]) =>
      `| \`long/${name}\` | ${passed} | ${failed} | ${skipped} | ${(ms / 60_000).toFixed(1)} | ${counted.join('; ')} |`);
    return ['| file | passed | failed | skipped | minutes | counted |', '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
  }
}
