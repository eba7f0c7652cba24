// What becomes of a command whose output goes nowhere.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createApiServer, node } from '../client/api-server.ts';
import { workspace } from './transcript.ts';

const { directory, run } = workspace();
const api = createApiServer();
before(() => api.listen(join(directory, 'slicer.sock')));
after(() => api.close());

/** For sh: descriptor 5 is a pipe that nobody reads any more. */
const UNREAD = 'mkfifo unread && exec 4<>unread 5>unread 4<&- && rm unread';

test('a stderr that nobody reads stops nothing: the change is made, and the exit code is that of the command', async () => {
  assert.equal((await run(`${UNREAD}; slicer secret create api-key --from-literal=v 2>&5`)).code, 0);
  assert.ok(api.secrets.has('api-key'));
  assert.equal((await run(`${UNREAD}; slicer secret create api-key --from-literal=v 2>&5`)).code, 5);
});

test('a command in a VM runs on when nobody reads its stderr', async () => {
  api.nodes.set('web-1', node('web-1'));
  const { code, stdout } = await run(`${UNREAD}; slicer vm exec web-1 -- sh -c 'head -c 300000 /dev/zero >&2; echo done; exit 3' 2>&5 </dev/null`);
  assert.deepEqual({ code, stdout: String(stdout) }, { code: 3, stdout: 'done\n' });
});

test('output that a full disk does not take is an error, and says so', { skip: !existsSync('/dev/full') && 'needs /dev/full' }, async () => {
  assert.deepEqual(await run('slicer secret list >/dev/full'),
    { code: 1, stdout: Buffer.alloc(0), stderr: 'slicer: error: standard output can\'t be written (ENOSPC)\n' });
});
