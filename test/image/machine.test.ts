import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { machineMirror } from '../../image/archive.ts';
import { findCommand, run } from '../../image/command.ts';
import { missingParts, type Purpose } from '../../image/machine.ts';

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'slicer-machine-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('only what is missing, and only for the purposes asked for, is named', async () => {
  const part = (purposes: readonly Purpose[], name: string, there: boolean) =>
    ({ purposes, packages: [name], why: 'is needed', isThere: async () => there });
  const parts = [part(['run'], 'qemu', true), part(['build'], 'gcc', false), part(['build', 'debian'], 'xz', false), part(['test'], 'strace', false)];
  const names = async (...purposes: Purpose[]) =>
    (await missingParts(purposes, parts)).flatMap((missing) => missing.packages);
  assert.deepEqual(await names('run', 'build'), ['gcc', 'xz']);
  assert.deepEqual(await names('debian'), ['xz']);
  assert.deepEqual(await names('run', 'build', 'test'), ['gcc', 'xz', 'strace']);
  assert.deepEqual(await names('run'), []);
});

test('a command is found on PATH only when it can be run', (t) => {
  const path = directory(t);
  const file = join(path, 'slicer-test-command');
  writeFileSync(file, '');
  assert.equal(findCommand('slicer-test-command', path), undefined);
  chmodSync(file, 0o755);
  assert.equal(findCommand('slicer-test-command', `/nowhere:${path}`), file);
});

test('a command that fails or is missing is an error that says so', async () => {
  await assert.rejects(run('sh', ['-c', 'echo no space left >&2; exit 3']), {
    code: 'build_failed',
    message: /sh ended with exit code 3: no space left/,
  });
  await assert.rejects(run('slicer-no-such-command', []), { code: 'missing_part', message: /slicer-no-such-command/ });
});

const codename = /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'trixie';

/** apt's options for a machine with these sources and no others. */
const machineWith = (list: string, parts: string, lists: string) =>
  ['-o', `Dir::Etc::sourcelist=${list}`, '-o', `Dir::Etc::sourceparts=${parts}`, '-o', `Dir::State::lists=${lists}`];

test("the mirror is the one of this machine's own release, from sources with one line each", async (t) => {
  const root = directory(t);
  const security = `deb [arch=amd64] http://mirror.invalid/security ${codename}-security main`;
  writeFileSync(join(root, 'sources.list'), `${security}\ndeb [trusted=yes] http://mirror.invalid/debian ${codename} main contrib\n`);
  const mirror = await machineMirror(machineWith(join(root, 'sources.list'), '/dev/null', root));
  assert.equal(mirror.replace(/\/$/, ''), 'http://mirror.invalid/debian');
});

test("the mirror is the one of this machine's own release, from sources in paragraphs", async (t) => {
  const root = directory(t);
  const suites = `${codename}-updates ${codename}`;
  writeFileSync(join(root, 'x.sources'), `Types: deb\nURIs: http://mirror.invalid/debian\nSuites: ${suites}\nComponents: main\n`);
  const mirror = await machineMirror(machineWith('/dev/null', root, root));
  assert.equal(mirror.replace(/\/$/, ''), 'http://mirror.invalid/debian');
});

test('a machine without a mirror of Debian is told so', async (t) => {
  await assert.rejects(machineMirror(machineWith('/dev/null', '/dev/null', directory(t))), { code: 'missing_part' });
});
