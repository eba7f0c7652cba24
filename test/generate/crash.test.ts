import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { openVars } from '../../src/generate/vars-directory.ts';
import { ownUid, temporaryDirectory, textOf } from './generate-fixture.ts';

// The test runner runs only *.test.ts; this one says how far it was acknowledged.
const WRITER = join(import.meta.dirname, 'endless-generator.ts');
const base = temporaryDirectory();

test('a process that is killed in the middle of a replacement leaves both files of one time, and none that is older than acknowledged', async () => {
  const directory = join(base, 'vars');
  for (let round = 0; round < 4; round += 1) {
    const writer = spawn(process.execPath, [WRITER, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    let acknowledged = -1;
    const ended = new Promise((resolve) => writer.on('close', resolve));
    createInterface({ input: writer.stdout }).on('line', (line) => {
      acknowledged = Number(line);
      if (acknowledged === 20 + round) writer.kill('SIGKILL');
    });
    await ended;
    assert.ok(acknowledged >= 20 + round, 'the writer ended by itself');
    const vars = openVars(directory, ownUid());
    const [a, b] = ['a', 'b'].map((file) => textOf(vars.read({ machine: 'm', generator: 'g', file })));
    assert.equal(a, b);
    assert.deepEqual(readdirSync(join(directory, 'm')), ['g']);
    const [number = '', ...rest] = (a as string).split(' ');
    assert.ok(Number(number) >= acknowledged, `${acknowledged} was acknowledged, ${number} is there`);
    assert.equal(rest.join(' '), 'x'.repeat(20_000));
  }
});
