import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MODULE = new URL('../../src/vm/private-process.ts', import.meta.url).href;

test('a process that holds secrets leaves no core dump, opens no debugger, and makes files for its owner alone', async (t) => {
  const script = `import { keepProcessPrivate } from '${MODULE}';
    await keepProcessPrivate(process.env.PATH);
    console.log('umask ' + process.umask().toString(8) + ', handlers ' + process.listenerCount('SIGUSR1'));
    process.on('SIGUSR1', () => console.log('signalled'));
    process.kill(process.pid, 'SIGUSR1');
    process.stdin.on('data', () => process.exit(0));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.after(() => child.kill());
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'umask 77, handlers 1');
  assert.equal((await lines.next()).value, 'signalled');
  assert.match(readFileSync(`/proc/${child.pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m);
  child.stdin.write('end\n');
  await once(child, 'close');
  assert.equal(complaints, '');
});
