import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import type { AuditRecord } from '../../src/api/audit.ts';
import { AuditTable } from '../../src/cli/audit-table.ts';
import { parseSince } from '../../src/cli/since.ts';
import { createApiServer } from '../client/api-server.ts';
import { HostConnection } from '../live/host-connection.ts';
import { VsockDevice } from '../live/vsock-device.ts';
import { WireAgent } from '../live/wire-agent.ts';
import { workspace } from './transcript.ts';

const { directory, environment, run, transcript } = workspace();
const api = createApiServer();

const at = (second: number): string => `2026-01-02T03:04:${String(second).padStart(2, '0')}.123Z`;
const RECORDS: AuditRecord[] = [
  { time: at(0), actor: 'daemon', event: 'start', outcome: 'ok' },
  { time: at(1), actor: 'admin', event: 'create', secret: 'api-key', outcome: 'begun', id: '1' },
  { time: at(1), actor: 'admin', event: 'create', secret: 'api-key', outcome: 'ok', id: '1' },
  { time: at(2), actor: 'ci', event: 'update', secret: 'api-key', outcome: 'begun', id: '2' },
  { time: at(3), actor: 'daemon', event: 'start', outcome: 'ok' },
  { time: at(4), actor: 'admin', event: 'grant', vm: 'web-1', outcome: 'ok', grant: ['api-key'], credentials: [{ name: 'tls.key', secret: 'tls' }], id: '3' },
  { time: at(5), actor: 'vm', event: 'read', vm: 'web-1', secret: 'tls', outcome: 'ok', channel: 'boot', credential: 'tls.key' },
  { time: at(6), actor: 'vm', event: 'refusal', vm: 'web-1', outcome: 'refused', reason: 'wrong_key', suppressed: 4711 },
  { time: at(7), actor: 'read', event: 'refusal', secret: 'api-key', outcome: 'refused', reason: 'forbidden', request: 'DELETE /secrets/{name}' },
  { time: at(8), actor: 'admin', event: 'exec', vm: 'web-1', outcome: 'ok', exit_code: 3, id: '4' },
];
const text = RECORDS.map((record) => `${JSON.stringify(record)}\n`).join('');

before(async () => {
  await api.listen(join(directory, 'slicer.sock'));
  api.audit = RECORDS;
  mkdirSync(join(directory, 'log'));
  const lines = text.split('\n');
  writeFileSync(join(directory, 'log', 'audit.log.1'), `${lines.slice(0, 4).join('\n')}\n{"time":"torn`);
  writeFileSync(join(directory, 'log', 'audit.log'), lines.slice(4).join('\n'));
});
after(() => api.close());

const TABLE = `TIME                  ACTOR     EVENT    VM           SECRET          OUTCOME
----                  -----     -----    --           ------          -------
2026-01-02T03:04:00Z  daemon    start    -            -               ok
2026-01-02T03:04:01Z  admin     create   -            api-key         ok
2026-01-02T03:04:02Z  ci        update   -            api-key         begun
2026-01-02T03:04:03Z  daemon    start    -            -               ok
2026-01-02T03:04:04Z  admin     grant    web-1        api-key,tls as tls.key  ok
2026-01-02T03:04:05Z  vm        read     web-1        tls             ok boot as tls.key
2026-01-02T03:04:06Z  vm        refusal  web-1        -               refused wrong_key +4711
2026-01-02T03:04:07Z  read      refusal  -            api-key         refused forbidden DELETE /secrets/{name}
2026-01-02T03:04:08Z  admin     exec     web-1        -               ok exit 3`;

transcript('the audit log is a table of what was done, from the daemon or from its files', `
$ slicer audit
${TABLE}
$ slicer audit --file=log/audit.log
${TABLE}
$ slicer audit --file=log/audit.log --vm=web-1 --json | tail -n1
{"time":"2026-01-02T03:04:08.123Z","actor":"admin","event":"exec","vm":"web-1","outcome":"ok","exit_code":3,"id":"4"}
$ slicer audit --file=log/audit.log --secret=tls --since=2026-01-02T03:04:05Z
TIME                  ACTOR     EVENT    VM           SECRET          OUTCOME
----                  -----     -----    --           ------          -------
2026-01-02T03:04:05Z  vm        read     web-1        tls             ok boot as tls.key
`);

transcript('what the audit log can\'t be asked is said', `
$ slicer audit --since=yesterday
! slicer: error: --since must be how long ago, as 30m, 12h or 7d, or a time, as 2026-01-31 or 2026-01-31T08:00:00Z
! slicer: hint: slicer audit --help
? 2
$ slicer audit --file=nope/audit.log
! slicer: error: there is no audit log "${directory}/nope/audit.log"
? 4
$ slicer audit --file=log/audit.log --url=./slicer.sock
! slicer: error: --file is for reading without a daemon: it excludes --url
! slicer: hint: slicer audit --help
? 2
$ slicer audit --secret='a b'
! slicer: error: a secret's name must be 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot
! slicer: hint: slicer audit --help
? 2
`);

test('what is asked for goes to the daemon as it is, a time as RFC 3339', async () => {
  api.auditQueries.length = 0;
  assert.equal((await run('slicer audit --vm=web-1 --secret=a --since=2026-01-31 --follow --json')).stdout.toString(), text);
  assert.deepEqual(api.auditQueries, [{ vm: 'web-1', secret: 'a', since: '2026-01-31T00:00:00.000Z', follow: true }]);
});

test('a log is followed without a daemon', async () => {
  const file = join(directory, 'followed.log');
  writeFileSync(file, '');
  const child = spawn('slicer', ['audit', '--file=followed.log', '--follow', '--json'], { cwd: directory, env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const records = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const lines = text.split('\n');
  appendFileSync(file, `${lines[0]}\n`);
  assert.equal((await records.next()).value, lines[0]);
  appendFileSync(file, `${lines[1]}\n`);
  assert.equal((await records.next()).value, lines[1]);
  child.kill();
  await once(child, 'close');
});

test('attach without a daemon puts the grant and each read on record, in the file that is named', async (t) => {
  mkdirSync(join(directory, '.secrets'), { mode: 0o700 });
  writeFileSync(join(directory, '.secrets', 'api-key'), 'canary', { mode: 0o600 });
  const device = await VsockDevice.listen(join(directory, 'db.vsock'));
  t.after(() => device.close());
  const child = spawn('slicer', ['attach', '--name=db', '--vsock=db.vsock', '--secret=api-key', '--audit=attach.log'], { cwd: directory, env: environment });
  await once(child.stderr, 'data');
  const agent = new WireAgent(device);
  await agent.establish();
  await agent.sync();
  const connection = new HostConnection(await device.dialHost());
  await connection.request('GET /v1/secrets');
  agent.close();
  child.kill('SIGINT');
  await once(child, 'close');
  const text = readFileSync(join(directory, 'attach.log'), 'utf8');
  assert.ok(!text.includes('canary'));
  assert.deepEqual(text.trimEnd().split('\n').map((line) => JSON.parse(line) as AuditRecord).map(({ actor, event, secret, outcome, reason }) => [actor, event, secret, outcome, reason]), [
    ['foreground', 'grant', undefined, 'begun', undefined], ['foreground', 'grant', undefined, 'ok', undefined], ['vm', 'read', 'api-key', 'ok', undefined],
    ['vm', 'refusal', undefined, 'refused', 'no_key'], ['foreground', 'delete', undefined, 'ok', undefined],
  ]);
});

transcript('a VM in the foreground is not served when its audit log can\'t be written', `
$ slicer attach --name=db --vsock=gone.vsock --secret=api-key --audit=nowhere/audit.log
! slicer: error: the audit log ${directory}/nowhere/audit.log can't be written (ENOENT): nothing is changed without a record
! slicer: hint: mkdir -p ${directory}/nowhere
? 1
`);

test('on a terminal every row fits, and nothing in it steers the terminal', () => {
  const rows: string[] = [];
  const table = new AuditTable((line) => void rows.push(line), 80);
  for (const record of RECORDS) table.add({ ...record, vm: 'a-very-long-name-of-a-vm', secret: 'b'.repeat(200), reason: '\u001b[2J' });
  table.end();
  assert.equal(rows.length, 2 + 9);
  for (const row of rows) {
    assert.ok(row.length <= 81, row);
    assert.ok(!row.includes('\u001b'));
  }
});

const NOW = Date.UTC(2026, 0, 31, 12);
for (const [typed, expected] of [
  ['30m', NOW - 1_800_000], ['1h30m', NOW - 5_400_000], ['7d', NOW - 604_800_000], ['2026-01-31', Date.UTC(2026, 0, 31)],
  ['2026-01-31T08:00:00Z', Date.UTC(2026, 0, 31, 8)], ['2026-01-31 08:00+01:00', Date.UTC(2026, 0, 31, 7)], ['999999999d', 0],
] as const) {
  test(`--since=${typed} is a point in time`, () => assert.equal(parseSince(typed, NOW), expected));
}
for (const typed of ['', '1', '1w', '-1h', 'h', '2026', '2026-13-01', '2026-02-30', '2026-02-29T08:00:00Z', '2026-01-31T25:00', 'now']) {
  test(`--since=${typed} is refused`, () => assert.throws(() => parseSince(typed, NOW), { code: 'usage' }));
}
