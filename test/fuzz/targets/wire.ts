// The formats of the live channel, which both sides read: whatever comes and however it is split.
import assert from 'node:assert/strict';
import { packTar } from 'modern-tar';
import { formatPermissions, ID_MAX, isId, parsePermissions } from '../../../src/secret/file-attributes.ts';
import { parseSecretName, SECRET_NAME_MAX_LENGTH } from '../../../src/secret/name.ts';
import { CREDENTIAL_NAME_MAX_BYTES, isCredentialName } from '../../../src/wire/credential-name.ts';
import { encodeFrame, FRAME, FRAME_MAX_BYTES, FrameReader, type Frame } from '../../../src/wire/exec-frames.ts';
import { formatEtag, parseEtag } from '../../../src/wire/generation.ts';
import { asciiBytes, encodeHead, MessageReader, requestLineOf, statusOf, WireError, type Head } from '../../../src/wire/http.ts';
import { HEAD_MAX_BYTES } from '../../../src/wire/protocol.ts';
import { TarReader, type TarEntry } from '../../../src/wire/tar.ts';
import type { Target } from '../engine.ts';
import { pieces, unless } from '../expectations.ts';

const isWireError = (error: unknown): boolean => error instanceof WireError;
const isRangeError = (error: unknown): boolean => error instanceof RangeError && /^expected an exec frame/.test(error.message);

/** Feeds a reader until it throws what it may; whether it took all. */
function feed(push: (chunk: Uint8Array) => void, chunks: readonly Uint8Array[], isExpected: (error: unknown) => boolean): boolean {
  return unless(isExpected, () => {
    for (const chunk of chunks) push(chunk);
    return true;
  }) ?? false;
}

interface Message {
  readonly head: Head;
  body: Buffer;
  ended: boolean;
}

function readMessages(chunks: readonly Uint8Array[]): { messages: Message[]; whole: boolean } {
  const messages: Message[] = [];
  const last = (): Message => messages.at(-1) as Message;
  const reader = new MessageReader({
    onHead: (head) => void messages.push({ head, body: Buffer.alloc(0), ended: false }),
    onBody: (chunk) => {
      last().body = Buffer.concat([last().body, chunk]);
    },
    onEnd: () => {
      last().ended = true;
    },
  });
  return { messages, whole: feed((chunk) => reader.push(chunk), chunks, isWireError) };
}

const http: Target = {
  name: 'http-message',
  of: 'src/wire/http.ts: requests and answers of both sides',
  corpus: [
    'GET /v1/secrets?wait HTTP/1.1\r\nAuthorization: Bearer 00\r\nIf-None-Match: "0123456789abcdef.7"\r\nA-IM: slicer-tar\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "x"\r\n\r\nhello',
    'POST /v1/report HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: slicer-exec\r\n\r\n',
    `GET / HTTP/1.1\r\nA: ${'x'.repeat(HEAD_MAX_BYTES - 30)}\r\n\r\n`,
  ],
  words: ['Transfer-Encoding: chunked\r\n', 'Content-Length: ', 'Content-Length: 1\r\nContent-Length: 2\r\n', 'Host: a\r\n', ' HTTP/1.0', 'HTTP/1.1', '\r\n ', '\r\n\r\n', '0\r\n\r\n', 'Expect: 100-continue\r\n'],
  maxBytes: 2 * HEAD_MAX_BYTES,
  check: (input, random) => {
    const once = readMessages([input]);
    const split = readMessages(pieces(random, input));
    assert.equal(split.whole, once.whole);
    // What a fault follows in the same chunk may have been told already, or not.
    assert.deepEqual(split.messages, once.messages);
    for (const { head, body, ended } of once.messages) {
      assert.ok(head.startLine.length <= HEAD_MAX_BYTES && body.length <= head.contentLength);
      if (ended) assert.equal(body.length, head.contentLength);
      unless(isWireError, () => statusOf(head));
      const line = unless(isWireError, () => requestLineOf(head));
      if (line !== undefined) assert.equal(`${line.method} ${line.target} HTTP/1.1`, head.startLine);
      const encoded = encodeHead(head.startLine, Object.fromEntries(head.headers));
      // It may have become longer than a head may be: with a space after each colon.
      if (encoded.length <= HEAD_MAX_BYTES) assert.deepEqual(readMessages([asciiBytes(encoded)]).messages[0]?.head, head);
    }
  },
};

const field = (text: string, length: number): string => text.padEnd(length, '\0');

/** A header of any kind with a right sum. */
function tarHeader(name: string, type: string, size: number, owner = 0): Buffer {
  const octal = (value: number, length: number): string => field(value.toString(8).padStart(length - 1, '0'), length);
  const text = field(name, 100) + octal(0o600, 8) + octal(owner, 8) + octal(owner, 8) + octal(size, 12) + octal(1, 12) + ' '.repeat(8) + type + field('', 100) + field('ustar', 6) + '00';
  const header = Buffer.alloc(512);
  header.write(text, 'latin1');
  header.write(octal(header.reduce((sum, byte) => sum + byte, 0), 7), 148, 'latin1');
  return header;
}

const block = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)]);
const END = Buffer.alloc(1024);

export const TAR_CORPUS: readonly Buffer[] = [
  Buffer.concat([tarHeader('api-key', '0', 5, 1000), block('hello'), tarHeader('.wh.old', '0', 0), END]),
  Buffer.concat([tarHeader('p', 'x', 31), block('20 path=api-key-long\n11 uid=70\n'), tarHeader('short', '0', 600), block('x'.repeat(600)), END]),
  Buffer.concat([tarHeader('.cred.db', '0', 1), block('1'), tarHeader('.wh..cred.old', '0', 0), END]),
  Buffer.concat([tarHeader('a', '0', 0), tarHeader('b', '0', 3), block('abc'), END]),
];

function readTar(chunks: readonly Uint8Array[]): { entries: (TarEntry & { data: Buffer; ended: boolean })[]; whole: boolean } {
  const entries: (TarEntry & { data: Buffer; ended: boolean })[] = [];
  const reader = new TarReader({
    onEntry: (entry) => void entries.push({ ...entry, data: Buffer.alloc(0), ended: false }),
    onData: (chunk) => {
      const last = entries.at(-1) as { data: Buffer };
      last.data = Buffer.concat([last.data, chunk]);
    },
    onEntryEnd: () => {
      (entries.at(-1) as { ended: boolean }).ended = true;
    },
  });
  const taken = feed((chunk) => reader.push(chunk), chunks, isWireError);
  return { entries, whole: taken && unless(isWireError, () => (reader.end(), true)) === true };
}

/** Sums that were right before a header was spoilt are made right again, or nothing behind them would be read. */
function withRightSums(input: Buffer): Buffer {
  const copy = Buffer.from(input);
  for (let at = 0; at + 512 <= copy.length; at += 512) {
    if (copy.toString('latin1', at + 257, at + 262) !== 'ustar') continue;
    copy.fill(' ', at + 148, at + 156);
    const sum = copy.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
    copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
  }
  return copy;
}

const tar: Target = {
  name: 'tar',
  of: 'src/wire/tar.ts: archives of secrets, as the agent reads them',
  corpus: TAR_CORPUS,
  words: ['ustar', '20 path=', '11 uid=70\n', '9 size=1\n', '00000000000', '77777777777', '\x80'],
  maxBytes: 8192,
  check: (spoilt, random) => {
    const input = random.once(4) ? spoilt : withRightSums(spoilt);
    const once = readTar([input]);
    assert.deepEqual(readTar(pieces(random, input)), once);
    let bytes = 0;
    for (const { name, sizeBytes, mode, uid, gid, data, ended } of once.entries) {
      assert.ok(name.length <= 8192 && mode >= 0 && mode <= 0o777, name);
      for (const number of [sizeBytes, uid, gid]) assert.ok(Number.isSafeInteger(number) && number >= 0, `${number}`);
      if (ended) assert.equal(data.length, sizeBytes);
      bytes += data.length;
    }
    assert.ok(bytes <= input.length);
    if (once.whole) assert.ok(once.entries.every(({ ended }) => ended));
  },
};

const tarWriter: Target = {
  name: 'tar-writer',
  of: 'the host\'s archives, read back by src/wire/tar.ts',
  corpus: ['api-key\0hello', 'a\0', `${'n'.repeat(253)}\0x`, '.wh.gone\0', '.cred.A key\0value'],
  maxBytes: 2048,
  check: async (input, random) => {
    const names = new Set<string>();
    const items = input.toString('latin1').split('\n').slice(0, 8).flatMap((line) => {
      const [name = '', ...rest] = line.split('\0');
      if (!(parseSecretName(name) !== undefined || isCredentialName(name)) || names.has(name)) return [];
      names.add(name);
      const uid = random.pick([0, 1, 2_097_151, 2_097_152, ID_MAX, random.below(2 ** 31)]);
      return [{ name, mode: random.below(0o1000), uid, gid: ID_MAX - uid, body: Buffer.from(rest.join('\0'), 'latin1') }];
    });
    const archive = await packTar(items.map(({ name, mode, uid, gid, body }) =>
      ({ header: { name, size: body.length, mode, uid, gid, mtime: new Date(0), uname: '', gname: '' }, body })));
    const { entries, whole } = readTar(pieces(random, Buffer.from(archive)));
    assert.ok(whole);
    assert.deepEqual(entries, items.map(({ body, ...rest }) => ({ ...rest, sizeBytes: body.length, data: body, ended: true })));
  },
};

function readFrames(chunks: readonly Uint8Array[]): { frames: Frame[]; whole: boolean } {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => void frames.push(frame));
  return { frames, whole: feed((chunk) => reader.push(chunk), chunks, isRangeError) };
}

const FRAMES_CORPUS: readonly Buffer[] = [
  Buffer.concat([encodeFrame(FRAME.started, asciiBytes('42')), encodeFrame(FRAME.stdout, asciiBytes('hello\n')), encodeFrame(FRAME.exit, asciiBytes('0'))]),
  Buffer.concat([encodeFrame(FRAME.failed, asciiBytes('no such user')), encodeFrame(FRAME.stdin, asciiBytes('x')), encodeFrame(FRAME.signal, Uint8Array.of(9))]),
  Buffer.concat([encodeFrame(FRAME.started, asciiBytes('7')), encodeFrame(FRAME.stderr, new Uint8Array(0)), encodeFrame(FRAME.stdinEnd, new Uint8Array(0)), encodeFrame(FRAME.exit, asciiBytes('143'))]),
];

const frames: Target = {
  name: 'exec-frames',
  of: 'src/wire/exec-frames.ts: both ends of a command',
  corpus: FRAMES_CORPUS,
  words: ['\x10\0\0\0\x01', '\x11\0\x01\0\0', '\x13\xff\xff\xff\xff', '\x14\0\0\0\0'],
  check: (input, random) => {
    const once = readFrames([input]);
    assert.deepEqual(readFrames(pieces(random, input)), once);
    for (const { payload } of once.frames) assert.ok(payload.byteLength <= FRAME_MAX_BYTES);
    const again = Buffer.concat(once.frames.map(({ type, payload }) => encodeFrame(type, payload)));
    assert.ok(input.subarray(0, again.length).equals(again));
  },
};

const etag: Target = {
  name: 'etag',
  of: 'src/wire/generation.ts: If-None-Match, ETag',
  corpus: ['"0123456789abcdef.7"', '"ffffffffffffffff.9007199254740991"', '"0000000000000000.0"'],
  words: ['W/', '"', '.', '*'],
  maxBytes: 64,
  check: (input) => {
    const text = input.toString('latin1');
    const generation = parseEtag(text);
    if (generation !== undefined) assert.equal(formatEtag(generation), text);
  },
};

const names: Target = {
  name: 'names',
  of: 'src/secret/name.ts, src/wire/credential-name.ts: names of secrets and credentials, as file names',
  corpus: ['api-key', 'tls.key', 'A_b-c.9', 'x'.repeat(253), 'API KEY', 'slicer.boot-token', 'a'.repeat(255)],
  maxBytes: 300,
  check: (input) => {
    const text = input.toString();
    const name = parseSecretName(text);
    if (name !== undefined) {
      assert.ok(name.length <= SECRET_NAME_MAX_LENGTH && Buffer.byteLength(name) === name.length);
      assert.doesNotMatch(name, /[/\0\s:=\\]|^\.|[^\x21-\x7e]/);
    }
    if (!isCredentialName(text)) return;
    assert.ok(Buffer.byteLength(text) <= CREDENTIAL_NAME_MAX_BYTES && text !== '.' && text !== '..');
    assert.doesNotMatch(text, /[/\0:=]|[^\x20-\x7e]/);
  },
};

const attributes: Target = {
  name: 'permissions',
  of: 'src/secret/file-attributes.ts: modes and owners',
  corpus: ['0600', '640', '0777', '000', '1000', '4294967294'],
  maxBytes: 32,
  check: (input) => {
    const text = input.toString();
    const mode = parsePermissions(text);
    if (mode !== undefined) {
      assert.ok(mode >= 0 && mode <= 0o777);
      assert.equal(parsePermissions(formatPermissions(mode)), mode);
    }
    const id = Number(text);
    if (isId(id)) assert.ok(id >>> 0 === id && id <= ID_MAX);
  },
};

export const wireTargets: readonly Target[] = [http, tar, tarWriter, frames, etag, names, attributes];
