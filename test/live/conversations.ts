// Every conversation that was recorded of a wire version, and how two of them are compared: what a later version
// adds is no difference, and what an older one relies on is.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Recorded, RecordedBytes } from './recording.ts';

export interface Conversation {
  /** `wire-1`. */
  readonly name: string;
  readonly pieces: readonly Recorded[];
}

export const CONVERSATIONS: readonly Conversation[] = globSync(join(import.meta.dirname, '../vectors/wire-*/conversation.json')).sort()
  .map((file) => ({ name: basename(dirname(file)), pieces: JSON.parse(readFileSync(file, 'utf8')) as Recorded[] }));

export interface Message {
  /** `GET /v1/secrets HTTP/1.1`, or `HTTP/1.1 200 OK`. */
  readonly start: string;
  /** By names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export const bytesOf = ({ text = '', base64 = '' }: RecordedBytes): Buffer =>
  Buffer.concat([Buffer.from(text, 'latin1'), Buffer.from(base64, 'base64')]);

/** The first message of these bytes, and how long it is; undefined while it is not whole. Of its own, not the product's. */
export function firstMessage(bytes: Buffer): { readonly message: Message; readonly size: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [start = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const headers = new Map(lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  const size = end + 4 + Number(headers.get('content-length') ?? 0);
  return bytes.byteLength < size ? undefined : { message: { start, headers, body: bytes.subarray(end + 4, size) }, size };
}

export function onlyMessage(bytes: Buffer): Message {
  const { message } = firstMessage(bytes) ?? {};
  assert.ok(message, `no message: ${bytes.toString('latin1', 0, 100)}`);
  return message;
}

/** Headers that an agent acts on; others may come and go. */
const MEANINGFUL = ['etag', 'im', 'delta-base', 'content-type', 'authorization', 'retry-after'];

/** Fails where `said` would not do for who was written for `recorded`. */
export function assertSaysTheSame(said: Message, recorded: Message): void {
  const isAnswer = recorded.start.startsWith('HTTP/');
  assert.equal(isAnswer ? said.start.split(' ')[1] : said.start, isAnswer ? recorded.start.split(' ')[1] : recorded.start);
  for (const name of MEANINGFUL) if (recorded.headers.has(name)) assert.equal(said.headers.get(name), recorded.headers.get(name), `${recorded.start}: ${name}`);
  if (recorded.headers.get('content-type') !== 'application/json') return assert.deepEqual(said.body, recorded.body, recorded.start);
  const [actual, expected] = [said, recorded].map(({ body }) => JSON.parse(body.toString()) as Record<string, unknown>) as [Record<string, unknown>, Record<string, unknown>];
  // The words of an error are for people.
  for (const [name, value] of Object.entries(expected)) if (name !== 'error') assert.deepEqual(actual[name], value, `${recorded.start}: ${name}`);
}
