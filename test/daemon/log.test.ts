import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logStream } from '../../src/daemon/log.ts';

test('a log that can\'t be written ends nothing, and says how many lines it lost once it can', () => {
  let room = 10;
  let file = '';
  const log = logStream((bytes) => {
    const taken = Math.min(room, bytes.length);
    if (taken === 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    room -= taken;
    file += Buffer.from(bytes).toString('utf8', 0, taken);
    return taken;
  });
  for (const line of ['one\n', 'two and more\n', 'three\n']) log.write(line);
  assert.equal(file, 'one\ntwo an');
  room = Infinity;
  for (const line of ['four\n', 'five\n']) log.write(line);
  const [cut, whole, told, ...rest] = file.split('\n');
  assert.deepEqual([cut, whole, ...rest], ['one', 'two an', 'four', 'five', '']);
  const { lines, msg, level } = JSON.parse(told as string) as { lines: number; msg: string; level: number };
  assert.deepEqual({ lines, msg, level }, { lines: 2, msg: 'lines of this log could not be written', level: 40 });
});
