import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { findInstalled } from '../../image/installation.ts';

const AGENT = { besideBundle: 'agent', belowRoot: 'build/agent' };

/** Makes empty files; returns the directory they are in. */
function files(t: TestContext, ...paths: string[]): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'slicer-installed-')));
  t.after(() => rmSync(root, { recursive: true }));
  for (const path of paths) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), path.endsWith('package.json') ? '{"name": "slicer"}' : '');
  }
  return root;
}

test('a bundle finds what lies beside it', (t) => {
  const root = files(t, 'lib/slicer.cjs', 'lib/agent');
  assert.equal(findInstalled(AGENT, join(root, 'lib/slicer.cjs')), join(root, 'lib/agent'));
});

test('a program below the package finds what lies below its root, also through a link', (t) => {
  const root = files(t, 'package.json', 'bin/slicer', 'build/agent', 'elsewhere/x');
  symlinkSync('../bin/slicer', join(root, 'elsewhere/slicer'));
  assert.equal(findInstalled(AGENT, join(root, 'bin/slicer')), join(root, 'build/agent'));
  assert.equal(findInstalled(AGENT, join(root, 'elsewhere/slicer')), join(root, 'build/agent'));
});

test('a file above the package is never taken', (t) => {
  const root = files(t, 'build/agent', 'slicer/package.json', 'slicer/bin/slicer');
  assert.equal(findInstalled(AGENT, join(root, 'slicer/bin/slicer')), undefined);
});

test('a program outside any package finds nothing', (t) => {
  const root = files(t, 'build/agent', 'bin/slicer');
  assert.equal(findInstalled(AGENT, join(root, 'bin/slicer')), undefined);
  assert.equal(findInstalled(AGENT, undefined), undefined);
});
