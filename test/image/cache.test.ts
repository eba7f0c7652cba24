import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { cacheDirectory, ensureEntry, entryPath, findEntry, temporaryDirectory } from '../../image/cache.ts';

const CACHE_MODULE = resolve(import.meta.dirname, '../../image/cache.ts');

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'slicer-cache-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

const write = (content: string) => async (path: string) => writeFileSync(join(path, 'file'), content);

test('an entry is made once, and found afterwards', async (t) => {
  const cache = directory(t);
  assert.equal(findEntry('thing', ['a'], cache), undefined);
  const entry = await ensureEntry('thing', ['a'], write('made'), cache);
  assert.equal(readFileSync(join(entry, 'file'), 'utf8'), 'made');
  assert.equal(findEntry('thing', ['a'], cache), entry);
  assert.equal(await ensureEntry('thing', ['a'], () => assert.fail('made twice'), cache), entry);
});

test('callers that ask at the same time get one entry, made once', async (t) => {
  const cache = directory(t);
  let made = 0;
  const make = async (path: string) => {
    made += 1;
    await write('x')(path);
  };
  const entries = await Promise.all([1, 2, 3].map(() => ensureEntry('thing', ['a'], make, cache)));
  assert.equal(made, 1);
  assert.equal(new Set(entries).size, 1);
});

test('what could not be made leaves nothing behind and can be made later', async (t) => {
  const cache = directory(t);
  const broken = async (path: string) => {
    await write('half')(path);
    throw new Error('no network');
  };
  await assert.rejects(ensureEntry('thing', ['a'], broken, cache), /no network/);
  assert.deepEqual(readdirSync(cache), []);
  assert.ok(await ensureEntry('thing', ['a'], write('whole'), cache));
});

test('a build that is killed leaves no entry', async (t) => {
  const cache = directory(t);
  const script = `
    import { ensureEntry } from ${JSON.stringify(CACHE_MODULE)};
    import { writeFileSync } from 'node:fs';
    await ensureEntry('thing', ['a'], async (path) => {
      writeFileSync(path + '/file', 'half');
      process.stdout.write('under way');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    }, ${JSON.stringify(cache)});`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(findEntry('thing', ['a'], cache), undefined);
  const entry = await ensureEntry('thing', ['a'], write('whole'), cache);
  assert.equal(readFileSync(join(entry, 'file'), 'utf8'), 'whole');
});

test('when another build was first its entry stays, and both get it', async (t) => {
  const cache = directory(t);
  const entry = await ensureEntry('thing', ['a'], async (path) => {
    await write('second')(path);
    const first = entryPath('thing', ['a'], cache);
    // As another process does it: its rename comes first.
    cpSync(path, first, { recursive: true });
    writeFileSync(join(first, 'file'), 'first');
  }, cache);
  assert.equal(readFileSync(join(entry, 'file'), 'utf8'), 'first');
  assert.equal(readdirSync(cache).length, 1);
});

test('entries of a kind that nobody used for a month go when one is made; others stay', async (t) => {
  const cache = directory(t);
  const longAgo = new Date(Date.now() - 31 * 24 * 3600 * 1000);
  const old = await ensureEntry('thing', ['old'], write('x'), cache);
  const kept = await ensureEntry('thing', ['used'], write('x'), cache);
  const other = await ensureEntry('thing-else', ['old'], write('x'), cache);
  for (const path of [old, kept, other]) utimesSync(path, longAgo, longAgo);
  findEntry('thing', ['used'], cache);
  const made = await ensureEntry('thing', ['new'], write('x'), cache);
  assert.deepEqual(readdirSync(cache).map((name) => join(cache, name)).sort(), [kept, other, made].sort());
});

test('what a killed build left goes after some hours', async (t) => {
  const cache = directory(t);
  const [abandoned, underWay] = [await temporaryDirectory('other', cache), await temporaryDirectory('other', cache)];
  const hoursAgo = new Date(Date.now() - 7 * 3600 * 1000);
  utimesSync(abandoned, hoursAgo, hoursAgo);
  const made = await ensureEntry('thing', ['a'], write('x'), cache);
  assert.deepEqual(readdirSync(cache).map((name) => join(cache, name)).sort(), [underWay, made].sort());
});

test('different inputs are different entries, however they are split', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (one, other) => {
      const same = JSON.stringify(one) === JSON.stringify(other);
      assert.equal(entryPath('thing', one, '/') === entryPath('thing', other, '/'), same);
      return true;
    }),
  );
  assert.notEqual(entryPath('thing', ['ab', 'c'], '/'), entryPath('thing', ['a', 'bc'], '/'));
});

test('the cache is where the user wants it', () => {
  assert.equal(cacheDirectory({ SLICER_CACHE: '/a', XDG_CACHE_HOME: '/b', HOME: '/c' }), '/a');
  assert.equal(cacheDirectory({ XDG_CACHE_HOME: '/b', HOME: '/c' }), '/b/slicer');
  assert.equal(cacheDirectory({ HOME: '/c' }), '/c/.cache/slicer');
});
