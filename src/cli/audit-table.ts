// The audit log as rows, one for each thing that was done: the record of a beginning is shown only where its
// end is missing. Rows are written as they come, since a log may be larger than memory.
import type { AuditRecord } from '../api/audit.ts';
import { escapeLine } from './terminal-text.ts';

interface Column {
  readonly title: string;
  readonly width: number;
}

const TIME_WIDTH = 22;
const ACTOR_WIDTH = 10;
const EVENT_WIDTH = 9;
const VM_WIDTH = 13;
const SECRET_WIDTH = 16;
/** `refused too_many_requests` */
const OUTCOME_WIDTH = 10;

export class AuditTable {
  readonly #write: (line: string) => void;
  readonly #columns: readonly Column[];
  readonly #cuts: boolean;
  readonly #begun = new Map<string, AuditRecord>();
  #hasHead = false;

  /** `terminalWidth`: characters in a line, within which the rows stay; undefined where nobody looks at it. */
  constructor(write: (line: string) => void, terminalWidth: number | undefined) {
    this.#write = write;
    this.#cuts = terminalWidth !== undefined;
    const fixed = TIME_WIDTH + ACTOR_WIDTH + EVENT_WIDTH + VM_WIDTH + OUTCOME_WIDTH;
    // What is left is the outcome's, since its reason says most.
    const rest = Math.max(0, (terminalWidth ?? 0) - fixed - SECRET_WIDTH);
    this.#columns = [
      { title: 'TIME', width: TIME_WIDTH }, { title: 'ACTOR', width: ACTOR_WIDTH }, { title: 'EVENT', width: EVENT_WIDTH },
      { title: 'VM', width: VM_WIDTH }, { title: 'SECRET', width: SECRET_WIDTH + Math.floor(rest / 3) }, { title: 'OUTCOME', width: OUTCOME_WIDTH + Math.ceil((rest * 2) / 3) },
    ];
  }

  add(record: AuditRecord): void {
    const { id, event, outcome } = record;
    // What a daemon before had begun and not ended, it did not live to end.
    if (event === 'start') this.end();
    if (id !== undefined && outcome === 'begun') return void this.#begun.set(id, record);
    if (id !== undefined) this.#begun.delete(id);
    this.#row(cellsOf(record));
  }

  /** There is no more for now: what has no end is shown. */
  end(): void {
    for (const record of this.#begun.values()) this.#row(cellsOf(record));
    this.#begun.clear();
    this.#head();
  }

  /** Once, and not before it is known that there is a log. */
  #head(): void {
    if (this.#hasHead) return;
    this.#hasHead = true;
    this.#row(this.#columns.map(({ title }) => title));
    this.#row(this.#columns.map(({ title }) => '-'.repeat(title.length)));
  }

  #row(cells: readonly string[]): void {
    this.#head();
    const last = this.#columns.length - 1;
    this.#write(`${cells.map((cell, index) => {
      const { width } = this.#columns[index] as Column;
      const text = escapeLine(cell === '' ? '-' : cell);
      const room = index === last ? width : width - 2;
      const cut = this.#cuts && text.length > room ? `${text.slice(0, room - 1)}…` : text;
      return index === last ? cut : cut.length > room ? `${cut}  ` : cut.padEnd(width);
    }).join('')}\n`);
  }
}

function cellsOf(record: AuditRecord): string[] {
  const { time, actor, event, vm = '', outcome, reason, exit_code: exitCode, suppressed, channel, credential, request } = record;
  const outcomes = [
    outcome, reason, request, exitCode === undefined ? undefined : `exit ${exitCode}`,
    channel, credential === undefined ? undefined : `as ${credential}`, suppressed === undefined ? undefined : `+${suppressed}`,
  ];
  return [time.replace(/\.\d+Z$/, 'Z'), actor, event, vm, secretsOf(record), outcomes.filter((word) => word !== undefined).join(' ')];
}

function secretsOf({ secret, grant, credentials = [] }: AuditRecord): string {
  if (secret !== undefined) return secret;
  if (grant === 'all') return 'all';
  return [...(grant ?? []), ...credentials.map(({ name, secret: source }) => `${source} as ${name}`)].join(',');
}
