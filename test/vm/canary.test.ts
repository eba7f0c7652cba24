// Values that are pushed through every path are then looked for everywhere they must not be: arguments and
// environments of all processes, every file that Slicer wrote, its logs, the console, and what its commands
// printed. And since a search that finds nothing proves nothing, it must find one that is planted.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { allProcesses } from './processes.ts';
import { filesBelow, find, formsOf, type Place } from './search.ts';
import { oneGroup, withSlicer, type RunResult } from './slicer.ts';

/** One value for each way in, so that a leak tells its way. Odd lengths, so that base64 has no whole groups. */
const VALUES = {
  byHand: 'canary-by-hand-0f3c9a61b2',
  created: 'canary-created-7d20e4c5f81',
  fromFile: 'canary-from-file-91b7d3a0e426',
  updated: 'canary-updated-c4e6802f15d7',
  api: 'canary-api-5a8f13e7b9d2c',
  apiUpdated: 'canary-api-updated-e1d04b7c6',
  binary: 'canary-\u0000binary-3f9e7a5c',
  inUserdata: 'canary-in-userdata-68f2d1b3',
  toStdin: 'canary-to-stdin-b07e5d9c41',
} as const;

const fixture = withSlicer(oneGroup(), { prepare: async (slicer) => slicer.put('by-hand', VALUES.byHand) });
const { skip } = fixture;

/** What the commands printed. */
const printed: Place[] = [];

async function run(args: readonly string[], stdin?: string): Promise<RunResult> {
  const result = await fixture.slicer.run(args, stdin === undefined ? {} : { stdin });
  printed.push({ where: `the output of slicer ${args.slice(0, 3).join(' ')}`, bytes: Buffer.from(result.stdout + result.stderr) });
  return result;
}

test('values go through every path: by hand, CLI, API, userdata, exec, sync, errors, restart', { skip }, async () => {
  const { slicer } = fixture;
  // Not below the daemon's directory, where a file that the test wrote would be found.
  const outside = `${slicer.directory}-input`;
  mkdirSync(outside, { mode: 0o700 });
  try {
    writeFileSync(`${outside}/value`, VALUES.fromFile);
    await run(['secret', 'create', 'created'], VALUES.created);
    await run(['secret', 'create', 'from-file', `--from-file=${outside}/value`]);
    writeFileSync(`${outside}/userdata`, `#!/bin/sh\nVALUE=${VALUES.inUserdata}\ncat /run/slicer/secrets/* > /dev/null\n`);
    await run(['vm', 'launch', '--wait-userdata', '--timeout=120s', `--userdata-file=${outside}/userdata`]);
  } finally {
    await (await import('node:fs/promises')).rm(outside, { recursive: true });
  }
  await run(['secret', 'update', 'created'], VALUES.updated);
  await slicer.api('POST', '/secrets', { name: 'api', data: Buffer.from(VALUES.api).toString('base64') });
  await slicer.api('PATCH', '/secrets/api?wait=30s', { data: Buffer.from(VALUES.apiUpdated).toString('base64') });
  await run(['secret', 'create', 'binary'], VALUES.binary);
  // Requests that fail while they hold a value.
  await run(['secret', 'create', 'created'], VALUES.created);
  await run(['secret', 'create', '../bad-name'], VALUES.created);
  for (const body of [
    { name: 'bad name', data: Buffer.from(VALUES.api).toString('base64') },
    { name: 'bad', data: VALUES.api },
    { name: 'bad', data: Buffer.from(VALUES.api).toString('base64'), permissions: VALUES.api },
    { name: VALUES.api, data: 1 },
    { name: 'bad', data: Buffer.from(VALUES.api).toString('base64'), [VALUES.api]: true },
  ]) {
    const { status, body: answer } = await slicer.api('POST', '/secrets', body);
    assert.equal(status, 400);
    printed.push({ where: 'an error of the API', bytes: Buffer.from(JSON.stringify(answer)) });
  }
  await run(['vm', 'exec', 'vm-1', '--', 'wc', '-c'], VALUES.toStdin);
  await run(['vm', 'exec', 'vm-1', '--shell', '--', 'rm /run/slicer/secrets/api; slicer-agent secrets sync -v; slicer-agent secrets list; slicer-agent status']);
  for (const args of [['secret', 'list'], ['secret', 'list', '-v'], ['secret', 'list', '--json'], ['vm', 'list'], ['vm', 'list', '--json'],
    ['vm', 'secrets'], ['vm', 'secrets', '--json'], ['vm', 'logs', 'vm-1', '--lines=0'], ['vm', 'logs', 'vm-1', '--lines=0', '--raw']]) await run(args);
  await slicer.stop('SIGKILL');
  await slicer.start();
  await slicer.untilInGuest('vm-1', 'slicer-agent secrets sync');
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api'), VALUES.apiUpdated);
});

test('no argument and no environment of any process holds one', { skip }, () => {
  assert.deepEqual(find(Object.values(VALUES), processPlaces()), []);
});

test('no file that Slicer wrote holds one, but the store itself', { skip }, () => {
  const { slicer } = fixture;
  const looked = [...filesBelow(slicer.directory, (path) => path === slicer.path('.secrets')),
    ...slicer.runtimeDirectories().flatMap((directory) => [...filesBelow(directory)])];
  assert.ok(looked.some(({ where }) => where.endsWith('vm.json')) && looked.some(({ where }) => where.includes('console')), 'files were looked at');
  assert.ok(looked.some(({ where }) => where.endsWith('boot-token')), 'files on tmpfs were looked at');
  assert.deepEqual(find(Object.values(VALUES), looked), []);
});

test('the store holds the newest values and no older ones', { skip }, () => {
  const { created, api, inUserdata, toStdin, ...kept } = VALUES;
  const store = [...filesBelow(fixture.slicer.path('.secrets'))];
  assert.deepEqual(find([created, api, inUserdata, toStdin], store), []);
  assert.equal(find(Object.values(kept), store).length, Object.keys(kept).length);
  assert.deepEqual(readdirSync(fixture.slicer.path('.secrets')).sort(), ['api', 'binary', 'by-hand', 'created', 'from-file']);
});

test("neither the daemon's log nor what commands printed holds one", { skip }, () => {
  const log = { where: "the daemon's log", bytes: Buffer.from(fixture.slicer.daemonOutput) };
  assert.ok(printed.length > 15 && log.bytes.byteLength > 0);
  assert.deepEqual(find(Object.values(VALUES), [log, ...printed]), []);
});

test('in the guest no process has one in its arguments or environment, and no file but the secrets', { skip }, async () => {
  const { slicer } = fixture;
  // The files are compared in the guest; the patterns go there over stdin, and grep reads them from a file.
  const patterns = Object.values(VALUES).flatMap(formsOf).filter((form) => !form.includes('\0')).join('\n');
  await slicer.inGuest('vm-1', 'cat > /tmp/patterns', { stdin: `${patterns}\n` });
  const found = await slicer.inGuest('vm-1', [
    'cd /',
    'for process in /proc/[0-9]*; do for file in cmdline environ; do',
    '  tr "\\0" "\\n" < $process/$file 2>/dev/null | grep -qFf /tmp/patterns && echo $process/$file; done; done',
    'find /etc /home /root /tmp /run /var /opt /srv -type f ! -path "/run/slicer/secrets/*" ! -path /tmp/patterns -exec grep -lFf /tmp/patterns {} +',
    'dmesg | grep -cFf /tmp/patterns',
    'true',
  ].join('\n'));
  assert.equal(found, '0\n');
});

test('the search finds a planted value in every form and every kind of place', { skip }, async () => {
  const { slicer } = fixture;
  const value = VALUES.byHand;
  for (const offset of [0, 1, 2]) {
    const text = Buffer.from(`${'x'.repeat(offset)}${value}tail`);
    for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const) {
      const planted = [{ where: 'here', bytes: Buffer.from(`before ${text.toString(encoding)} after`) }];
      assert.deepEqual(find([value], planted), [`${value} in here`], `${encoding} at offset ${offset}`);
    }
  }
  const encoded = Buffer.from(`a${value}`).toString('base64');
  const child = spawn('sleep', ['1000'], { env: { PLANTED: encoded }, argv0: `sleep ${value}` });
  try {
    await once(child, 'spawn');
    const found = find([value], processPlaces());
    assert.deepEqual(found.sort(), [`${value} in arguments of ${child.pid}`, `${value} in environment of ${child.pid}`]);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  writeFileSync(slicer.path('.slicer/planted'), encoded);
  assert.deepEqual(find([value], filesBelow(slicer.path('.slicer'))), [`${value} in ${slicer.path('.slicer/planted')}`]);
  // A guest that prints its own secret: its console log must be among what is searched.
  await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/by-hand > /dev/console; echo > /dev/console');
  for (let round = 0; round < 100; round += 1) {
    if (find([value], filesBelow(slicer.path('.slicer/vms'))).length > 0) return;
    await slicer.ok(['vm', 'logs', 'vm-1']);
  }
  assert.fail('the value that the guest wrote to its console was not found');
});

function* processPlaces(): Generator<Place> {
  // Of this test's own process nothing is left out: it holds no value in argument or environment.
  for (const { pid, cmdline, environ } of allProcesses()) {
    yield { where: `arguments of ${pid}`, bytes: cmdline };
    yield { where: `environment of ${pid}`, bytes: environ };
  }
}
