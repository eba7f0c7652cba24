import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { jsonLines } from '../../src/client/json-lines.ts';
import { fail, type SlicerError } from '../../src/errors/slicer-error.ts';

const faults = {
  lost: (): SlicerError => fail('daemon_unreachable', 'lost'),
  unexpected: (): SlicerError => fail('internal', 'unexpected'),
};

async function collect(chunks: readonly string[], end: (stream: PassThrough) => void): Promise<unknown[]> {
  const stream = new PassThrough();
  for (const chunk of chunks) stream.write(chunk);
  end(stream);
  const values: unknown[] = [];
  for await (const value of jsonLines(stream as unknown as IncomingMessage, 20, faults)) values.push(value);
  return values;
}

test('blank lines say nothing', async () => {
  assert.deepEqual(await collect(['{"a":1}\n', '\n\n', 'null\n'], (stream) => stream.end()), [{ a: 1 }, null]);
});

test('an answer that ends within a line was lost', async () => {
  await assert.rejects(collect(['1\n2'], (stream) => stream.end()), { code: 'daemon_unreachable' });
});

test('an answer whose connection breaks was lost', async () => {
  await assert.rejects(collect(['1\n'], (stream) => stream.destroy(new Error('reset'))), { code: 'daemon_unreachable' });
});

test('a line that does not end is given up at its limit', async () => {
  await assert.rejects(collect(['x'.repeat(21)], () => {}), { code: 'internal' });
});

test('a reader that stops closes the connection', async () => {
  const stream = new PassThrough();
  stream.write('1\n2\n');
  for await (const value of jsonLines(stream as unknown as IncomingMessage, 20, faults)) {
    assert.equal(value, 1);
    break;
  }
  assert.equal(stream.destroyed, true);
});
