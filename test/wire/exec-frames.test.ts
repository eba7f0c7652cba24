import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FRAME, FRAME_MAX_BYTES, FrameReader, type Frame } from '../../src/wire/exec-frames.ts';
import { cutAt, splitsOf } from './splits.ts';

const frame = fc.record({
  type: fc.constantFrom(...Object.values(FRAME)),
  payload: fc.uint8Array({ maxLength: 300 }),
}, { noNullPrototype: true });

const framesInPieces = fc.array(frame, { maxLength: 12 }).chain((frames) =>
  splitsOf(Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload))))
    .map((pieces) => ({ frames, pieces })));

function read(pieces: readonly Uint8Array[]): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((received) => frames.push(received));
  for (const piece of pieces) reader.push(piece);
  return frames;
}

test('frames arrive whole and in order however the stream is split', () => {
  fc.assert(fc.property(framesInPieces, ({ frames, pieces }) => {
    assert.deepEqual(read(pieces), frames);
  }));
});

test('a frame of the greatest length is read, one byte more ends the connection before it is buffered', () => {
  const greatest = encodeFrame(FRAME.stdout, new Uint8Array(FRAME_MAX_BYTES));
  assert.equal(read([greatest])[0]?.payload.byteLength, FRAME_MAX_BYTES);
  const header = encodeFrame(FRAME.stdout, new Uint8Array(FRAME_MAX_BYTES + 1)).subarray(0, 5);
  assert.throws(() => read([header]), RangeError);
});

test('a frame of an unknown type ends the connection', () => {
  for (const type of [0, 4, 15, 21, 255]) {
    assert.throws(() => read([Uint8Array.of(type, 0, 0, 0, 0)]), RangeError);
  }
});

test('a frame stays as it is when the buffer it arrived in is used again', () => {
  const buffer = encodeFrame(FRAME.stdout, Buffer.from('before'));
  const [received] = read([buffer]);
  buffer.fill(0);
  assert.equal(Buffer.from(received?.payload ?? []).toString(), 'before');
});

test('a frame that drips in byte by byte costs no more than its bytes', () => {
  const bytes = encodeFrame(FRAME.stdout, new Uint8Array(FRAME_MAX_BYTES));
  const before = process.cpuUsage();
  const frames = read(cutAt(bytes, Array.from(bytes, (_, index) => index)));
  assert.equal(frames.length, 1);
  // Copying what is pending at each piece took 1.2 s; each byte once takes about 10 ms.
  assert.ok(process.cpuUsage(before).user < 400_000);
});
