import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  asciiBytes, encodeHead, MessageReader, parseHead, requestLineOf, statusOf, WireError,
} from '../../src/wire/http.ts';
import { HEAD_MAX_BYTES } from '../../src/wire/protocol.ts';
import { cutAt, splitsOf } from './splits.ts';

interface Message {
  readonly startLine: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

const token = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz-0123456789'), minLength: 1, maxLength: 12 })
  .filter((name) => name !== 'content-length' && name !== 'transfer-encoding');
const fieldValue = fc.string({ unit: fc.constantFrom(...'abc XYZ"\',;=/.0123456789:'), maxLength: 40 }).map((text) => text.trim());
const message: fc.Arbitrary<Message> = fc.record({
  startLine: fc.constantFrom('GET /v1/secrets HTTP/1.1', 'HTTP/1.1 200 OK', 'HTTP/1.1 304 Not Modified'),
  headers: fc.dictionary(token, fieldValue, { maxKeys: 5, noNullPrototype: true }),
  body: fc.uint8Array({ maxLength: 200 }),
}, { noNullPrototype: true });

function encode({ startLine, headers, body }: Message): Uint8Array {
  const all = body.byteLength === 0 ? headers : { ...headers, 'Content-Length': body.byteLength };
  return Buffer.concat([asciiBytes(encodeHead(startLine, all)), body]);
}

function read(pieces: readonly Uint8Array[]): Message[] {
  const messages: Message[] = [];
  let current: { startLine: string; headers: Record<string, string>; body: Uint8Array[] } | undefined;
  const reader = new MessageReader({
    onHead: (head) => {
      const headers = Object.fromEntries([...head.headers].filter(([name]) => name !== 'content-length'));
      current = { startLine: head.startLine, headers, body: [] };
    },
    onBody: (chunk) => current?.body.push(chunk.slice()),
    onEnd: () => {
      assert.ok(current);
      messages.push({ ...current, body: new Uint8Array(Buffer.concat(current.body)) });
    },
  });
  for (const piece of pieces) reader.push(piece);
  assert.equal(reader.idle, true);
  return messages;
}

test('messages arrive whole and in order however the stream is split', () => {
  const inPieces = fc.array(message, { maxLength: 5 })
    .chain((messages) => splitsOf(Buffer.concat(messages.map(encode))).map((pieces) => ({ messages, pieces })));
  fc.assert(fc.property(inPieces, ({ messages, pieces }) => {
    assert.deepEqual(read(pieces), messages);
  }));
});

test('whatever bytes come, the reader reads or throws a WireError', () => {
  const scraps = fc.constantFrom(
    'HTTP/1.1 200 OK\r\n', '\r\n', '\r', '\n', 'content-length: 3\r\n', 'Content-Length: 99999999999999\r\n', 'a: b\r\n',
    'a : b\r\n', ' folded\r\n', 'transfer-encoding: chunked\r\n', '\0', 'abc', '\x80\xff',
  );
  fc.assert(fc.property(fc.array(scraps, { maxLength: 20 }).chain((parts) => splitsOf(asciiBytes(parts.join('')))), (pieces) => {
    const reader = new MessageReader({ onHead: () => {}, onBody: () => {}, onEnd: () => {} });
    try {
      for (const piece of pieces) reader.push(piece);
    } catch (error) {
      assert.ok(error instanceof WireError);
    }
  }), { numRuns: 500 });
});

const refusedHeads: readonly [string, string][] = [
  ['a transfer encoding', 'GET / HTTP/1.1\r\nTransfer-Encoding: chunked'],
  ['a header twice', 'GET / HTTP/1.1\r\nHost: a\r\nhost: b'],
  ['two lengths', 'GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1'],
  ['a list of lengths', 'GET / HTTP/1.1\r\nContent-Length: 1, 1'],
  ['a signed length', 'GET / HTTP/1.1\r\nContent-Length: +1'],
  ['a hexadecimal length', 'GET / HTTP/1.1\r\nContent-Length: 0x1'],
  ['a length with leading zeros', 'GET / HTTP/1.1\r\nContent-Length: 01'],
  ['a length of more digits than any body has', 'GET / HTTP/1.1\r\nContent-Length: 12345678901234'],
  ['a folded header', 'GET / HTTP/1.1\r\na: b\r\n c'],
  ['a space before the colon', 'GET / HTTP/1.1\r\na : b'],
  ['a line without a colon', 'GET / HTTP/1.1\r\nabc'],
  ['a bare line feed', 'GET / HTTP/1.1\r\na: b\nc: d'],
  ['a bare carriage return', 'GET / HTTP/1.1\r\na: b\rc: d'],
  ['a NUL byte', 'GET / HTTP/1.1\r\na: \0'],
  ['an empty start line', ''],
  ['a start line that begins with a space', ' GET / HTTP/1.1'],
];
for (const [what, text] of refusedHeads) {
  test(`a head with ${what} is refused`, () => {
    assert.throws(() => parseHead(text), WireError);
  });
}

test('a head may have 8192 bytes before its empty line, and not one more', () => {
  const padding = (bytes: number): string => {
    const start = 'GET / HTTP/1.1\r\na: ';
    return `${start}${'x'.repeat(bytes - start.length)}\r\n\r\n`;
  };
  fc.assert(fc.property(splitsOf(asciiBytes(padding(HEAD_MAX_BYTES))), (pieces) => {
    assert.equal(read(pieces).length, 1);
  }), { numRuns: 10 });
  fc.assert(fc.property(splitsOf(asciiBytes(padding(HEAD_MAX_BYTES + 1))), (pieces) => {
    assert.throws(() => read(pieces), WireError);
  }), { numRuns: 10 });
});

test('after a message that switches protocols the rest goes to the new receiver, in any split', () => {
  const answer = asciiBytes('HTTP/1.1 101 Switching Protocols\r\n\r\nframes follow');
  fc.assert(fc.property(splitsOf(answer), (pieces) => {
    let rest = '';
    const reader = new MessageReader({
      onHead: () => reader.switchTo((bytes) => { rest += Buffer.from(bytes).toString('latin1'); }),
      onBody: () => assert.fail('a 101 answer has no body'),
      onEnd: () => {},
    });
    for (const piece of pieces) reader.push(piece);
    assert.equal(rest, 'frames follow');
  }));
});

test('a reader is idle only between messages', () => {
  const reader = new MessageReader({ onHead: () => {}, onBody: () => {}, onEnd: () => {} });
  const states = cutAt(asciiBytes('GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab'), [5, 37, 38]).map((piece) => {
    reader.push(piece);
    return reader.idle;
  });
  assert.deepEqual(states, [false, false, false, true]);
});

test('start lines are read in exactly one form', () => {
  const head = (startLine: string) => parseHead(startLine);
  assert.equal(statusOf(head('HTTP/1.1 226 IM Used')), 226);
  assert.equal(statusOf(head('HTTP/1.1 204')), 204);
  for (const line of ['HTTP/1.0 200 OK', 'HTTP/1.1 600 No', 'HTTP/1.1 20', 'HTTP/1.1  200 OK', 'OK 42']) {
    assert.throws(() => statusOf(head(line)), WireError, line);
  }
  assert.deepEqual(requestLineOf(head('PUT /v1/session HTTP/1.1')), { method: 'PUT', target: '/v1/session' });
  for (const line of ['get / HTTP/1.1', 'GET http://host/ HTTP/1.1', 'GET / HTTP/1.0', 'GET  / HTTP/1.1', 'GET /a b HTTP/1.1']) {
    assert.throws(() => requestLineOf(head(line)), WireError, line);
  }
});
