// What stands on record, one JSON object a line. No field can hold a value: names are names by their rule,
// reasons are codes of ours, and of what a guest sends nothing is kept. Fields are described in docs/audit.md.
import type { AuditRecord } from '../api/audit.ts';

/** As its writer makes it; the log adds the time. */
export type AuditEntry = Omit<AuditRecord, 'time'>;

/** Who acts when nobody asked for it over the API. An API token can't have one of these names, nor a role's. */
export const ACTOR = { vm: 'vm', file: 'file', outside: 'outside', daemon: 'daemon', foreground: 'foreground', nobody: 'nobody', anybody: 'anybody' } as const;

/** The line of a record, with its line feed. `time` is RFC 3339, UTC, with milliseconds. */
export function formatRecord(time: string, { actor, event, vm, secret, outcome, reason, ...rest }: AuditEntry): string {
  // JSON leaves out what is undefined; who reads the file finds the same order in every line.
  return `${JSON.stringify({ time, actor, event, vm, secret, outcome, reason, ...rest })}\n`;
}

/** A secret in one form, as a VM is sent it. */
export interface ReadForm {
  readonly secret: string;
  /** The systemd credential that it is read as; absent for a file. */
  readonly credential?: string;
}

export const readEntry = (vm: string, { secret, credential }: ReadForm): AuditEntry => ({
  actor: ACTOR.vm, event: 'read', vm, secret, outcome: 'ok', channel: 'live', ...(credential === undefined ? {} : { credential }),
});

/** What follows the VM's name in the records of these reads: the same for all VMs that are sent the same. */
const readTails = new WeakMap<readonly ReadForm[], readonly string[]>();

/**
 * As `formatRecord` of each `readEntry`, at a small part of the cost where the same array comes for many VMs.
 * The caller must not change it afterwards.
 */
export function formatReads(time: string, vm: string, reads: readonly ReadForm[]): string {
  const head = `{"time":${JSON.stringify(time)},"actor":"${ACTOR.vm}","event":"read","vm":${JSON.stringify(vm)},`;
  let tails = readTails.get(reads);
  if (tails === undefined) readTails.set(reads, (tails = ['', ...reads.map(readTail)]));
  return tails.join(head);
}

function readTail({ secret, credential }: ReadForm): string {
  return `${JSON.stringify({ secret, outcome: 'ok', channel: 'live', credential }).slice(1)}\n`;
}

/** A record, or undefined for a line that is none: one that a crash cut short, or that somebody else wrote. */
export function parseRecord(line: string): AuditRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

const TEXTS = ['time', 'actor', 'event', 'outcome'] as const;
const OPTIONAL_TEXTS = ['vm', 'secret', 'reason', 'id', 'channel', 'credential', 'request'] as const;
const OPTIONAL_NUMBERS = ['exit_code', 'suppressed'] as const;

/** Events and outcomes that a later version has are records, too. */
function isRecord(value: unknown): value is AuditRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  const { grant = [], credentials = [] } = fields;
  return TEXTS.every((name) => typeof fields[name] === 'string')
    && OPTIONAL_TEXTS.every((name) => ['undefined', 'string'].includes(typeof fields[name]))
    && OPTIONAL_NUMBERS.every((name) => fields[name] === undefined || Number.isSafeInteger(fields[name]))
    && (grant === 'all' || isListOf(grant, (name) => typeof name === 'string'))
    && isListOf(credentials, isCredential);
}

const isListOf = (value: unknown, is: (element: unknown) => boolean): boolean => Array.isArray(value) && value.every(is);

function isCredential(value: unknown): boolean {
  const { name, secret } = (value ?? {}) as Record<string, unknown>;
  return typeof name === 'string' && typeof secret === 'string';
}
