import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineFilter } from '../../src/run/line-filter.ts';

function shown(...chunks: readonly string[]): string {
  const filter = new LineFilter();
  return chunks.map((chunk) => filter.take(Buffer.from(chunk))).join('') + filter.end();
}

for (const [what, end] of [['a carriage return', '\r'], ['a line separator', '\u2028'], ['a paragraph separator', '\u2029']] as const) {
  test(`a credential is not shown when ${what} is in it or behind it`, () => {
    assert.equal(shown(`bad "io.systemd.credential:a=one${end}two"${end}\nnext\n`), 'bad "[credential]\nnext\n');
  });
}

test('a line that is too long is told of once, also when nothing comes behind it', () => {
  const long = 'x'.repeat(17_000);
  for (const text of [long, `${long}\n`]) {
    assert.equal(shown(text), '[a long line]\n');
    assert.equal(shown(...(text.match(/[^]{1,100}/g) as string[])), '[a long line]\n');
  }
});
