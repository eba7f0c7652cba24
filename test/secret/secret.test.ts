import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { pino } from 'pino';
import { Secret } from '../../src/secret/secret.ts';

const CANARY = 'canary-51e0';
const secret = (): Secret => new Secret(Buffer.from(CANARY));

const WAYS: readonly [string, (held: Secret) => string][] = [
  ['String()', (held) => String(held)],
  ['a template', (held) => `${held as unknown as string}`],
  ['concatenation', (held) => '' + (held as unknown as string)],
  ['JSON', (held) => JSON.stringify({ held, list: [held] })],
  ['inspect', (held) => inspect({ held }, { depth: null, showHidden: true, getters: true })],
  ['inspect without custom inspection', (held) => inspect(held, { customInspect: false, showHidden: true, depth: null })],
  ['console.log formats', (held) => format('%s %d %i %f %j %o %O %c', held, held, held, held, held, held, held, held)],
  ['a log line', (held) => {
    let line = '';
    pino({ base: null }, { write: (text) => { line += text; } }).info({ held }, 'message %s', held);
    return line;
  }],
  ['an error message', (held) => new Error(`failed with ${held as unknown as string}`).stack ?? ''],
  ['a failed assertion', (held) => {
    try {
      assert.deepEqual({ held }, { held: 1 });
    } catch (error) {
      return inspect(error, { depth: null });
    }
    return CANARY;
  }],
  ['a copy of its properties', (held) => JSON.stringify({ ...held }) + Object.getOwnPropertyNames(held).join()],
  ['a structured clone', (held) => inspect(structuredClone(held), { depth: null, showHidden: true })],
  ['entries and iteration', (held) => inspect(Object.entries(held)) + inspect(Object.getOwnPropertySymbols(held))],
];

for (const [way, show] of WAYS) {
  test(`a value does not come out through ${way}`, () => {
    const text = show(secret());
    for (const encoding of ['utf8', 'hex', 'base64', 'latin1'] as const) {
      assert.ok(!text.includes(Buffer.from(CANARY).toString(encoding)), `${encoding}: ${text.length} characters`);
    }
    assert.doesNotMatch(text, /99,? ?97,? ?110/);
  });
}

test('reveal gives the bytes, and the size is known without it', () => {
  assert.equal(Buffer.from(secret().reveal()).toString(), CANARY);
  assert.equal(secret().sizeBytes, CANARY.length);
  assert.equal(new Secret(new Uint8Array(0)).sizeBytes, 0);
});

const newlines: readonly [string, string][] = [['v\n', 'v'], ['v\n\n', 'v\n'], ['v\r\n', 'v\r'], ['v', 'v'], ['\n', ''], ['', '']];
for (const [value, expected] of newlines) {
  test(`${JSON.stringify(value)} without its final newline is ${JSON.stringify(expected)}`, () => {
    assert.equal(Buffer.from(new Secret(Buffer.from(value)).withoutFinalNewline().reveal()).toString(), expected);
  });
}
