import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { claimDirectory, directoryOf } from '../../src/run/claim.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { isAlive } from '../../src/vm/process-table.ts';
import { startTimeOf } from '../../src/vm/process-table.ts';

const UID = process.geteuid?.() as number;
const FLOCK = '/usr/bin/flock';
const skip = existsSync('/dev/shm') ? false : '/dev/shm is not there';

/** A unit's runtime directory, as systemd would make it. */
function unit(t: TestContext): NodeJS.ProcessEnv {
  const directory = mkdtempSync('/dev/shm/slicer-claim-');
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return { RUNTIME_DIRECTORY: directory };
}

const codeOf = (error: unknown): string => (error instanceof SlicerError ? error.code : String(error));

test('a VM has a directory of its own, closed to others, in the unit\'s, and leaves nothing there', { skip }, async (t) => {
  const env = unit(t);
  const directory = await directoryOf('db', UID, env);
  assert.ok(directory.startsWith(`${env['RUNTIME_DIRECTORY']}/`) && directory.endsWith('/db'));
  assert.equal(await directoryOf('db', UID, { RUNTIME_DIRECTORY: `${env['RUNTIME_DIRECTORY']}:/run/other` }), directory);
  const claim = await claimDirectory(directory, UID, FLOCK);
  assert.deepEqual([readdirSync(directory), statSync(directory).mode & 0o777], [[], 0o700]);
  writeFileSync(join(directory, 'file'), '');
  await claim.release();
  assert.deepEqual(readdirSync(env['RUNTIME_DIRECTORY'] as string), []);
});

test('of two VMs of a name one runs, and another name is free', { skip }, async (t) => {
  const env = unit(t);
  const directory = await directoryOf('db', UID, env);
  const claim = await claimDirectory(directory, UID, FLOCK);
  await assert.rejects(claimDirectory(directory, UID, FLOCK), { code: 'already_running', message: 'vm "db" runs already' });
  const other = await claimDirectory(await directoryOf('web', UID, env), UID, FLOCK);
  await other.release();
  await claim.release();
  await (await claimDirectory(directory, UID, FLOCK)).release();
});

test('of many at once no two have the place, however they come and go', { skip }, async (t) => {
  const directory = await directoryOf('db', UID, unit(t));
  let holders = 0;
  let claims = 0;
  const attempt = async (): Promise<void> => {
    for (let round = 0; round < 8; round += 1) {
      try {
        const claim = await claimDirectory(directory, UID, FLOCK);
        claims += 1;
        holders += 1;
        assert.equal(holders, 1);
        await new Promise(setImmediate);
        holders -= 1;
        await claim.release();
      } catch (error) {
        assert.equal(codeOf(error), 'already_running');
      }
    }
  };
  await Promise.all(Array.from({ length: 5 }, attempt));
  assert.ok(claims > 0);
});

test('what one who was killed left is cleared, his processes first; the lock went with him', { skip }, async (t) => {
  const env = unit(t);
  const directory = await directoryOf('db', UID, env);
  const script = `
    import { claimDirectory } from ${JSON.stringify(resolve(import.meta.dirname, '../../src/run/claim.ts'))};
    import { writeFileSync } from 'node:fs';
    await claimDirectory(${JSON.stringify(directory)}, ${UID}, ${JSON.stringify(FLOCK)});
    writeFileSync(${JSON.stringify(join(directory, 'left'))}, '');
    console.log('claimed');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  const orphan = spawn('sleep', ['1000'], { env: { SLICER_VM: directory }, detached: true, stdio: 'ignore' });
  const identity = { pid: orphan.pid as number, start_time: startTimeOf(orphan.pid as number) as number };
  const ended = once(orphan, 'exit');
  await assert.rejects(claimDirectory(directory, UID, FLOCK), { code: 'already_running' });
  assert.ok(isAlive(identity), 'a VM that runs is left alone');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const claim = await claimDirectory(directory, UID, FLOCK);
  await ended;
  assert.deepEqual(readdirSync(directory), []);
  await claim.release();
});

test('a place that somebody else made is refused', { skip }, async (t) => {
  const directory = await directoryOf('db', UID, unit(t));
  const ofUser = dirname(dirname(directory));
  mkdirSync(ofUser, { mode: 0o755 });
  execFileSync('chmod', ['0755', ofUser]);
  await assert.rejects(claimDirectory(directory, UID, FLOCK), { code: 'store_not_private' });
});

test('a name that makes a socket\'s path too long is refused', { skip }, async (t) => {
  await assert.rejects(directoryOf('x'.repeat(63), UID, unit(t)), { code: 'invalid_request' });
});
