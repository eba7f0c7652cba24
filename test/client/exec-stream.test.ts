import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ExecEvent, execEvents } from '../../src/client/exec-stream.ts';

async function collect(chunks: Iterable<Uint8Array | string>): Promise<ExecEvent[]> {
  const stream = new PassThrough();
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  const events: ExecEvent[] = [];
  for await (const event of execEvents(stream as unknown as IncomingMessage)) events.push(event);
  return events;
}

const line = (frame: object): string => `${JSON.stringify({ timestamp: '2025-12-08T11:12:00Z', ...frame })}\n`;

test('any split of the stream gives the same events, with exact bytes', async () => {
  const bytes = fc.uint8Array({ maxLength: 50 });
  await fc.assert(fc.asyncProperty(fc.array(bytes), fc.array(fc.nat({ max: 40 })), async (outputs, cuts) => {
    const text = line({ type: 'started', pid: 7 }) +
      outputs.map((data) => line({ type: 'stdout', stdout: Buffer.from(data).toString('base64'), encoding: 'base64' })).join('') +
      line({ type: 'exit', exit_code: 3 });
    const chunks: string[] = [];
    let rest = text;
    for (const cut of cuts) {
      chunks.push(rest.slice(0, cut));
      rest = rest.slice(cut);
    }
    const events = await collect([...chunks, rest]);
    assert.deepEqual(events.map((event) => (event.type === 'stdout' ? { ...event, data: new Uint8Array(event.data) } : event)), [
      { type: 'started', pid: 7 },
      ...outputs.map((data) => ({ type: 'stdout', data })),
      { type: 'exit', exitCode: 3 },
    ]);
  }), { numRuns: 100 });
});

test('text frames, as public servers send them, are UTF-8', async () => {
  const [event] = await collect([line({ type: 'stderr', stderr: 'grün\n' }), line({ type: 'exit', exit_code: 0 })]);
  assert.deepEqual(event, { type: 'stderr', data: Buffer.from('grün\n') });
});

test('a character split between two chunks stays whole', async () => {
  const bytes = Buffer.from(line({ type: 'stdout', stdout: 'ü' }) + line({ type: 'exit', exit_code: 0 }));
  const at = bytes.indexOf(0xc3) + 1;
  const [event] = await collect([bytes.subarray(0, at), bytes.subarray(at)]);
  assert.deepEqual(event, { type: 'stdout', data: Buffer.from('ü') });
});

for (const [what, text, code] of [
  ['a stream that ends early', line({ type: 'started', pid: 1 }), 'agent_unreachable'],
  ['an error frame with a code', line({ type: 'error', error: 'the vm went away', code: 'agent_unreachable' }), 'agent_unreachable'],
  ['an error frame with a code of a later version', line({ type: 'error', error: 'x', code: 'later' }), 'exec_failed'],
  ['a line that is no JSON', 'hello\n', 'internal'],
  ['a frame of an unknown type', line({ type: 'resize' }), 'internal'],
  ['a frame with bad base64', line({ type: 'stdout', stdout: '?', encoding: 'base64' }), 'internal'],
  ['a line without end', 'x'.repeat(300_000), 'internal'],
] as const) {
  test(`${what} is an error: ${code}`, () => assert.rejects(collect([text]), { code }));
}
