// What a start has in the runtime directory while it goes on, whatever ends it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Secret } from '../../src/secret/secret.ts';
import { findProgram } from '../../src/vm/programs.ts';
import { startVm } from '../../src/vm/start.ts';
import type { Vmm, VmSpec } from '../../src/vmm/contract.ts';

const PATH = process.env['PATH'] ?? '';
const [setpriv = '', ends = ''] = await Promise.all([findProgram('setpriv', PATH), findProgram('false', PATH)]);

test('a value is written when its file has no name any more, so that nothing is left of it whatever ends the start', async (t) => {
  const directory = mkdtempSync('/dev/shm/slicer-start-');
  const events: string[] = [];
  const watcher = watch(directory, (event, name) => events.push(`${name} ${event}`));
  t.after(() => {
    watcher.close();
    rmSync(directory, { recursive: true });
  });
  const vmm: Vmm = {
    problems: () => [],
    plan: () => [{
      role: 'vmm', program: ends, argv: [], descriptors: [{ kind: 'boot-slot', index: 0 }],
      readySocket: join(directory, 'control.sock'), filtersStderr: false,
    }],
    boot: () => assert.fail('it was not ready'),
    connect: () => assert.fail('nothing is adopted'),
  };
  await assert.rejects(startVm({
    spec: { name: 'web-1' } as VmSpec, values: [new Secret(Buffer.from('a value'))], vmDirectory: directory, runtimeDirectory: directory,
  }, {
    vmm, programs: { agent: '', setpriv }, startLimitMs: 10_000,
    console: { targetsOf: () => ['pipe', 'pipe'], release: () => undefined, lastLines: async () => [] },
  }, new AbortController().signal), /vmm ended with exit code 1/);
  assert.deepEqual(readdirSync(directory), []);
  writeFileSync(join(directory, 'after'), '');
  while (!events.some((event) => event.startsWith('after '))) await once(watcher, 'change');
  // inotify(7): it is made, its name goes, and only then is it written to.
  const ofValue = events.filter((event) => event.startsWith('boot-slot ')).map((event) => event.slice('boot-slot '.length));
  assert.deepEqual(ofValue.slice(0, 2), ['rename', 'rename'], ofValue.join(', '));
});
