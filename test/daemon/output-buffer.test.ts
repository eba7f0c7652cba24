import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OutputBuffer } from '../../src/daemon/output-buffer.ts';

test('what was added comes out, in any pieces', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 5000 })), (pieces) => {
    const output = new OutputBuffer();
    for (const piece of pieces) output.add(piece);
    assert.equal(output.toString('base64'), Buffer.concat(pieces).toString('base64'));
  }));
});
