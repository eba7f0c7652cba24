import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeLines } from '../../src/cli/terminal-text.ts';
import { foregroundConsole, type ForegroundConsole } from '../../src/run/console.ts';
import { LineFilter, redact } from '../../src/run/line-filter.ts';
import { readLastLines } from '../../src/vm/console-log.ts';

interface Shown {
  readonly console: ForegroundConsole;
  readonly warnings: string[];
  readonly texts: { out: string; err: string };
}

function shown(stdout?: Writable): Shown {
  const texts = { out: '', err: '' };
  const warnings: string[] = [];
  const collector = (name: 'out' | 'err') => new Writable({ decodeStrings: false, write: (text: string, _encoding, done) => {
    texts[name] += text;
    done();
  } });
  const clean = (text: string): string => text.replaceAll('\r\n', '\n').replaceAll('\x1b', '\\x1b').replaceAll('\r', '\\x0d');
  const console = foregroundConsole({ stdout: stdout ?? collector('out'), stderr: collector('err'), clean, warn: (fact) => warnings.push(fact) });
  return { console, warnings, texts };
}

async function write(console: ForegroundConsole, filtersStderr: boolean, out: readonly (string | Uint8Array)[], err: readonly string[] = []): Promise<void> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  console.started?.({ filtersStderr }, stdout, stderr);
  for (const chunk of out) stdout.write(chunk);
  for (const chunk of err) stderr.write(chunk);
  stdout.end();
  stderr.end();
  await console.ended();
}

test('what the guest writes goes to stdout, what the VMM says to stderr, both made safe', async () => {
  const { console, texts } = shown();
  await write(console, false, ['hello\r', '\nworld\x1b[2J', '\r'], ['qemu: a warning\n']);
  assert.deepEqual(texts, { out: 'hello\nworld\\x1b[2J\\x0d', err: 'qemu: a warning\n' });
});

test('a character in parts is one character', async () => {
  const { console, texts } = shown();
  const bytes = Buffer.from('grün…\n');
  await write(console, false, [...bytes].map((byte) => Buffer.from([byte])));
  assert.equal(texts.out, 'grün…\n');
});

test('the last lines are kept for an error, and not all of them', async () => {
  const { console } = shown();
  await write(console, false, Array.from({ length: 5000 }, (_, index) => `line ${index}\r\n`));
  assert.deepEqual(await console.lastLines(2), ['line 4998', 'line 4999']);
  assert.ok((await console.lastLines(10_000)).length < 2000);
});

test('a reader that takes nothing holds up neither the VM nor this process\'s memory, and is told', async () => {
  let release: () => void = () => undefined;
  const stuck = new Writable({ highWaterMark: 1, decodeStrings: false, write: (_text, _encoding, done) => { release = done; } });
  const { console, warnings } = shown(stuck);
  const source = new PassThrough();
  console.started?.({ filtersStderr: false }, source, new PassThrough().end());
  const block = 'x'.repeat(64 * 1024);
  for (let count = 0; count < 64; count += 1) {
    source.write(block);
    while (source.readableLength > 0) await new Promise(setImmediate);
  }
  assert.ok(stuck.writableLength <= 2 * 1024 * 1024, String(stuck.writableLength));
  const drained = once(stuck, 'drain');
  stuck._write = (_text, _encoding, done) => done();
  release();
  await drained;
  source.end('the end\n');
  await once(source, 'close');
  assert.match(warnings.join('|'), /^\d+ characters of the console were dropped/);
});

const VALUE = 'c2VjcmV0IHZhbHVlIHRoYXQgaXMgYmFzZTY0IGFuZCBsb25n';

test('a VMM that repeats a credential is not heard, however its words are cut', async () => {
  fc.assert(fc.property(fc.array(fc.nat(60), { maxLength: 8 }), (cuts) => {
    const text = `error: io.systemd.credential.binary:A=${VALUE} tail\nbase64 ${VALUE}== here\nplain words stay: /run/x/api.sock\n`;
    const filter = new LineFilter();
    let at = 0;
    let seen = '';
    for (const cut of cuts) {
      seen += filter.take(Buffer.from(text.slice(at, at + cut)));
      at += cut;
    }
    seen += filter.take(Buffer.from(text.slice(at))) + filter.end();
    assert.equal(seen, 'error: [credential]\nbase64 [redacted] here\nplain words stay: /run/x/api.sock\n');
  }));
});

test('a line without an end is shown when the VMM has ended, and one that is too long not at all', () => {
  const filter = new LineFilter();
  assert.equal(filter.take(Buffer.from('last words')), '');
  assert.equal(filter.end(), 'last words\n');
  const long = new LineFilter();
  assert.equal(long.take(Buffer.from(`${VALUE.repeat(600)}`)) + long.take(Buffer.from(`${VALUE}\nnext\n`)), '[a long line]\nnext\n');
});

test('what is shorter than a value stays', () => {
  assert.equal(redact(`ok ${'a'.repeat(31)}`), `ok ${'a'.repeat(31)}`);
  assert.equal(redact(`ok ${'a'.repeat(32)}`), 'ok [redacted]');
});

/** A quarter of what a kept console can have: a regular expression that tries again from each of them takes minutes of the processor. */
const MANY = '\r'.repeat(2 ** 18);
const PROCESSOR_MAX_MICROSECONDS = 20e6;

test('a console of carriage returns alone takes no time to read, whoever reads it: daemon, command line, slicer run', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-console-'));
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'console.log'), `${MANY}x\nlast${MANY}\n`);
  const before = process.cpuUsage();
  const lines = await readLastLines(directory, 2);
  assert.deepEqual(lines.map((line) => line.length), [MANY.length + 1, 'last'.length]);
  assert.ok(escapeLines(`${MANY}x`).endsWith('\\x0dx'));
  const { console, texts } = shown();
  await write(console, false, [MANY, MANY, `${MANY}x`]);
  assert.ok(texts.out.endsWith('x'));
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < PROCESSOR_MAX_MICROSECONDS, `it took ${(user + system) / 1e6} s of the processor`);
});
