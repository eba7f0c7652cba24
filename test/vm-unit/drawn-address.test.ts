import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../src/errors/slicer-error.ts';
import { drawCid, drawHostPort, withHostPort } from '../../src/vm/drawn-address.ts';

/** Draws these numbers, one after the other. */
const drawing = (...numbers: readonly number[]) => {
  const left = [...numbers];
  return (): Uint8Array => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(left.shift() as number);
    return bytes;
  };
};

test('a CID is none of the reserved ones, and nobody else\'s', () => {
  assert.equal(drawCid(drawing(0, 1, 2, 0xffffffff, 7, 8), new Set([7])), 8);
});

test('a host port has three digits, is privileged, and nobody else\'s', () => {
  assert.equal(drawHostPort(drawing(0), new Set()), 102);
  assert.equal(drawHostPort(drawing(897), new Set()), 999);
  assert.equal(drawHostPort(drawing(898, 1), new Set([102])), 103);
});

test('when half of the host ports are taken a launch says so instead of drawing for long', () => {
  const taken = new Set(Array.from({ length: 450 }, (_, index) => 102 + index));
  assert.throws(() => drawHostPort(drawing(), taken), { code: 'launch_failed' });
});

test('of ports that others have, another is drawn, ten times at most; whatever else fails a launch, fails it', async () => {
  const tried: number[] = [];
  const launchUnless = (isTaken: (port: number) => boolean) => async (port: number): Promise<number> => {
    tried.push(port);
    if (isTaken(port)) throw fail('vsock_port_taken', 'taken');
    return port;
  };
  const next = (refused: ReadonlySet<number>): number => 200 + refused.size;
  assert.equal(await withHostPort(next, launchUnless((port) => port < 209)), 209);
  assert.deepEqual(tried.splice(0), Array.from({ length: 10 }, (_, index) => 200 + index));
  await assert.rejects(withHostPort(next, launchUnless(() => true)), { code: 'vsock_port_taken' });
  assert.equal(tried.length, 10);
  const cause = fail('launch_failed', 'something else');
  await assert.rejects(withHostPort(next, () => Promise.reject(cause)), cause);
});
