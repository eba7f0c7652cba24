// The sample exchange of docs/wire.md: recorded from a real run, and the same bytes in every run since.
// `SLICER_RECORD=1` records it anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FRAME } from '../../src/wire/exec-frames.ts';
import { bench, until } from './live-vm.ts';
import type { FileAttributes } from '../../src/secret/file-attributes.ts';
import { counting, recordedVm } from './recorded-vm.ts';
import { Recording, type Recorded } from './recording.ts';
import { payload } from './wire-agent.ts';

const VECTOR = join(import.meta.dirname, '../vectors/wire-1/conversation.json');
const DOCUMENT = join(import.meta.dirname, '../../docs/wire.md');

test('a whole exchange has the recorded bytes', async (t) => {
  const { store, agent, device, vm } = await bench(t, recordedVm());
  // The dial at the start of the service finds an agent that wants no session, and is no part of the sample.
  await agent.saw('POST /v1/challenge');
  const recording = new Recording(device);
  agent.randomHex = counting('b');
  const owner = { mode: 0o600, uid: 1000, gid: 1000 };
  const set = (name: string, value: string, attributes: FileAttributes): void => {
    recording.note({ does: 'set', name, value, ...attributes });
    store.set(name, value, attributes);
  };
  set('api-key', 'my-api-key\n', owner);

  await agent.establish();
  await agent.sync(true);
  const change = agent.sync(true);
  await until(vm, () => vm.status().synced);
  recording.note({ does: 'wait' });
  set('api-key', 'a newer key\n', owner);
  set('tls-key', '', { mode: 0o640, uid: 0, gid: 4000000000 });
  await change;
  await agent.sync();
  recording.note({ does: 'remove', name: 'api-key' });
  store.set('api-key', undefined);
  await agent.sync();
  await agent.sync();
  await agent.request('POST /v1/report', {}, {
    generation: agent.generation, errors: [{ name: 'tls-key', code: 'ENOSPC', message: 'no space left on device' }],
  });
  await agent.request('POST /v1/userdata');
  await agent.request('PUT /v1/userdata', {}, { exit_code: 0, output: 'ready\n' });
  recording.note({ does: 'health' });
  await (await vm.call(new AbortController().signal)).health();
  agent.runCommand = (_request, send) => {
    send({ type: FRAME.started, payload: payload('4711') });
    return ({ type, payload: bytes }) => {
      if (type === FRAME.stdin) send({ type: FRAME.stdout, payload: bytes });
      if (type === FRAME.stdinEnd) send({ type: FRAME.exit, payload: payload('0') });
    };
  };
  recording.note({ does: 'exec', argv: ['cat'] });
  const session = await (await vm.call(new AbortController().signal)).exec({ argv: ['cat'], uid: 0, env: [], stdin: true });
  const frames = session.frames[Symbol.asyncIterator]();
  await frames.next();
  recording.note({ does: 'stdin', text: 'hi\n' });
  await session.send({ type: FRAME.stdin, payload: payload('hi\n') });
  await frames.next();
  recording.note({ does: 'stdin' });
  await session.send({ type: FRAME.stdinEnd, payload: payload('') });
  await frames.next();
  agent.sessionKey = 'c0'.repeat(32);
  assert.equal(await agent.sync(), 401);

  const recorded = recording.list();
  if (process.env['SLICER_RECORD'] !== undefined) writeFileSync(VECTOR, `${JSON.stringify(recorded, undefined, 2)}\n`);
  assert.deepEqual(recorded, JSON.parse(readFileSync(VECTOR, 'utf8')));
});

test('the document shows every byte of the recorded exchange, in order', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  let position = 0;
  for (const piece of JSON.parse(readFileSync(VECTOR, 'utf8')) as Recorded[]) {
    if ('does' in piece) continue;
    const { text, base64 } = piece;
    const head = text?.replaceAll('\r\n', '\n').trimEnd();
    const dump = base64 === undefined ? undefined : hexdump(Buffer.from(base64, 'base64'));
    for (const shown of [head, dump]) {
      if (shown === undefined) continue;
      const found = document.indexOf(shown, position);
      assert.notEqual(found, -1, `docs/wire.md does not show, after its character ${position}:\n${shown}`);
      position = found + shown.length;
    }
  }
});

/** As `hexdump -C` shows it: lines that are the same as the one before are one star. */
function hexdump(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.byteLength; at += 16) {
    const line = bytes.subarray(at, at + 16);
    if (at > 0 && line.equals(bytes.subarray(at - 16, at))) {
      if (lines.at(-1) !== '*') lines.push('*');
      continue;
    }
    const hex = [...line].map((byte) => byte.toString(16).padStart(2, '0'));
    const columns = `${hex.slice(0, 8).join(' ')}  ${hex.slice(8).join(' ')}`;
    const letters = line.toString('latin1').replace(/[^ -~]/g, '.');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${columns.padEnd(48)}  |${letters}|`);
  }
  return [...lines, bytes.byteLength.toString(16).padStart(8, '0')].join('\n');
}
