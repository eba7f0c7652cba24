import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { ensureBusybox } from '../../image/busybox.ts';
import { cpioArchive, type CpioEntry } from '../../image/cpio.ts';

/** busybox, which unpacks archives as somebody else understands the format. */
async function busybox(directory: string): Promise<string> {
  const path = join(directory, 'busybox');
  writeFileSync(path, (await ensureBusybox()).program, { mode: 0o755 });
  return path;
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'slicer-cpio-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

function unpack(program: string, entries: readonly CpioEntry[], into: string): void {
  mkdirSync(into);
  execFileSync(program, ['cpio', '-i', '-m'], { cwd: into, input: cpioArchive(entries), stdio: ['pipe', 'ignore', 'pipe'] });
}

test('busybox unpacks files of any length as they went in', async (t) => {
  const root = directory(t);
  const program = await busybox(root);
  const names = fc.stringMatching(/^[a-z][a-z0-9._-]{0,40}$/);
  const files = fc.uniqueArray(fc.tuple(names, fc.uint8Array({ maxLength: 20 })), { selector: ([name]) => name, maxLength: 6 });
  let round = 0;
  fc.assert(
    fc.property(files, (contents) => {
      const into = join(root, `round-${(round += 1)}`);
      unpack(program, contents.map(([path, data]) => ({ type: 'file', path, mode: 0o644, data })), into);
      assert.deepEqual(readdirSync(into).sort(), contents.map(([name]) => name).sort());
      for (const [name, data] of contents) assert.deepEqual(new Uint8Array(readFileSync(join(into, name))), data);
    }),
    { numRuns: 20 },
  );
});

test('modes, owners and links are kept', { skip: process.geteuid?.() === 0 ? false : 'needs root, to give files to other owners' }, async (t) => {
  const root = directory(t);
  const into = join(root, 'unpacked');
  unpack(await busybox(root), [
    { type: 'directory', path: 'home', mode: 0o750, uid: 1000, gid: 1001 },
    { type: 'file', path: 'home/run', mode: 0o711, data: Buffer.from('x') },
    { type: 'symlink', path: 'link', target: 'home/run' },
    { type: 'character', path: 'console', mode: 0o600, major: 5, minor: 1 },
  ], into);
  const home = lstatSync(join(into, 'home'));
  assert.deepEqual([home.mode & 0o7777, home.uid, home.gid], [0o750, 1000, 1001]);
  assert.equal(lstatSync(join(into, 'home/run')).mode & 0o7777, 0o711);
  assert.equal(readlinkSync(join(into, 'link')), 'home/run');
  const console = lstatSync(join(into, 'console'));
  assert.ok(console.isCharacterDevice());
  assert.equal(console.rdev, 5 * 256 + 1);
});

test('the same entries are the same bytes', () => {
  const entries: CpioEntry[] = [{ type: 'file', path: 'a', mode: 0o600, data: Buffer.from('secretless') }];
  assert.deepEqual(cpioArchive(entries), cpioArchive(entries));
});

test('an archive of any length leaves all but four bytes of its last page free', () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 9000 }), (length) => {
    const archive = cpioArchive([{ type: 'file', path: 'a', mode: 0o600, data: Buffer.alloc(length, 'x') }]);
    assert.equal(archive.length % 4096, 4);
    assert.ok(archive.length < length + 4096 + 300);
  }));
});
