// The console's log on the host: what the guest prints, and what its VMM has to say.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { AGENT } from './guest-fixture.ts';

interface Console {
  readonly file: string;
  readonly stdin: Writable;
  readonly diagnostics: Writable;
  readonly ended: () => Promise<string>;
}

function startConsole(context: TestContext, maxBytes = 1_000_000): Console {
  const directory = mkdtempSync('/dev/shm/slicer-console-');
  const file = join(directory, 'console.log');
  const child: ChildProcess = spawn(AGENT, ['console', '--file', file, '--max-bytes', String(maxBytes), '--diagnostics-fd', '3'], {
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
  });
  context.after(() => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });
  const [stdin, diagnostics] = [child.stdin, child.stdio[3]] as [Writable, Writable];
  return {
    file, stdin, diagnostics,
    ended: async () => {
      stdin.end();
      diagnostics.end();
      await once(child, 'close');
      return readFileSync(file, 'latin1');
    },
  };
}

const A = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo'; // 35 characters

const lines: readonly [string, string, string][] = [
  ['an ordinary line is kept', 'cloud-hypervisor: 12.3ms: WARN: disk /dev/shm/a.raw is slow', 'cloud-hypervisor: 12.3ms: WARN: disk /dev/shm/a.raw is slow'],
  ['a credential goes, to the end of its line', `Error: "io.systemd.credential:key=hunter2, and more" (x)`, 'Error: "[redacted]'],
  ['a credential goes with what a carriage return hides', 'io.systemd.credential.binary:key=aHVudGVyMg==\rhunter2', '[redacted]'],
  ['base64 goes, wherever it is', `oem_strings: ["${A}==", "${A}"]`, 'oem_strings: ["[redacted]", "[redacted]"]'],
  ['32 characters are base64', 'x '.concat('a'.repeat(32), ' y'), 'x [redacted] y'],
  ['31 characters are a word', 'x '.concat('a'.repeat(31), ' y'), `x ${'a'.repeat(31)} y`],
  ['what is not ASCII is shown as a question mark', 'a\x1b[2Jé', 'a?[2J??'],
];
for (const [what, line, expected] of lines) {
  test(`of the VMM's own lines, ${what}`, async (context) => {
    const { diagnostics, ended } = startConsole(context);
    diagnostics.write(`${line}\n`);
    assert.equal(await ended(), `${expected}\n`);
  });
}

test('no split of the VMM\'s lines lets a value through', async (context) => {
  const { diagnostics, ended } = startConsole(context);
  const text = `before\nio.systemd.credential:key=hunter2\nmiddle ${A}\nlast io.systemd.credential:x=y`;
  for (const byte of text) await new Promise((resolve) => diagnostics.write(byte, resolve));
  assert.equal(await ended(), 'before\n[redacted]\nmiddle [redacted]\nlast [redacted]\n');
});

test('a line without end is cut, and at the cut too nothing is left of a value', async (context) => {
  const { diagnostics, ended } = startConsole(context);
  // The cut falls 10 characters into the run.
  diagnostics.write(`${'- '.repeat(2043)}${A.repeat(50_000)}\nnext\n`);
  assert.equal(await ended(), `${'- '.repeat(2043)}[redacted]\nnext\n`);
});

test('the guest\'s own output is not touched', async (context) => {
  const { stdin, ended } = startConsole(context);
  const text = `io.systemd.credential:key=value\r\n${A}\n\x1b[2J\xff\0no end`;
  stdin.write(Buffer.from(text, 'latin1'));
  assert.equal(await ended(), text);
});

test('a VMM that says nothing, or not the end of its line, holds back no output of the guest', async (context) => {
  const { file, stdin, diagnostics, ended } = startConsole(context);
  const watcher = watch(join(file, '..'));
  diagnostics.write('half a line');
  stdin.write('from the guest\n');
  const isThere = (): boolean => existsSync(file) && readFileSync(file, 'latin1') === 'from the guest\n';
  while (!isThere()) await once(watcher, 'change', { signal: AbortSignal.timeout(10_000) });
  watcher.close();
  assert.equal(await ended(), 'from the guest\nhalf a line\n');
});

test('both together keep within the limit', async (context) => {
  const { file, stdin, diagnostics, ended } = startConsole(context, 200_000);
  for (let count = 0; count < 50; count += 1) {
    await Promise.all([stdin, diagnostics].map((stream) => new Promise((resolve) => stream.write(`${'x '.repeat(2000)}\n`, resolve))));
  }
  await ended();
  assert.ok(statSync(file).size + statSync(`${file}.1`).size <= 200_000);
});

test('where there can be no next file lines are lost, and the log goes on once there can', async (context) => {
  const { file, stdin, ended } = startConsole(context, 400);
  const watcher = watch(dirname(file));
  const lines = (text: string): Promise<unknown> => new Promise((resolve) => stdin.write(`${text}\n`, resolve));
  await lines('the first');
  while (!existsSync(file) || statSync(file).size === 0) await once(watcher, 'change', { signal: AbortSignal.timeout(10_000) });
  watcher.close();
  // Neither can the directory be renamed to the file's name, nor a file be made in its place.
  rmSync(file);
  mkdirSync(file);
  writeFileSync(`${file}.1`, '');
  // More than all buffers on the way can hold.
  await lines('x'.repeat(2 * 1024 * 1024));
  rmdirSync(file);
  // More than what may still go into the file before.
  await lines(`${'y'.repeat(400)} the last`);
  assert.match(await ended(), /the last\n$/);
});
