import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Histogram } from '../../src/daemon/histogram.ts';
import { byLabel, formatFamilies } from '../../src/daemon/prometheus-text.ts';
import { auditFile } from './audit-log.ts';
import { base64, bench, call } from './daemon.ts';
import { parsePrometheus } from './prometheus-parser.ts';

test('metrics are in the text format of Prometheus, and say what the daemon has and has done', async (t) => {
  const { api, attach, tcp } = await bench(t);
  for (const name of ['a', 'b']) await api('POST', '/secrets', { name, data: base64('1') });
  await api('POST', '/hostgroup/web/nodes?wait=agent', { credentials: [{ name: 'A', secret: 'a', deliver: 'boot' }] });
  await api('PATCH', '/secrets/a?wait=30s', { data: base64('2') });
  const agent = await attach('db', []);
  await call(tcp, 'GET', '/secrets');
  const answer = await api('GET', '/metrics');
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'text/plain; version=0.0.4; charset=utf-8']);
  const families = parsePrometheus(answer.text);
  const value = (series: string): number | undefined => families.get(series.replace(/\{.*|_(bucket|sum|count)$/, ''))?.samples.get(series);
  assert.deepEqual(['running', 'failed', 'starting', 'stopping', 'stopped'].map((state) => value(`slicer_vms{state="${state}"}`)), [2, 0, 0, 0, 0]);
  assert.deepEqual(
    ['slicer_secrets', 'slicer_store_usable', 'slicer_vms_connected', 'slicer_vms_synced', 'slicer_vms_current', 'slicer_store_changes_total',
      'slicer_deliveries_total{channel="boot"}', 'slicer_deliveries_total{channel="live"}', 'slicer_push_seconds_count',
      'slicer_api_refusals_total{reason="unauthorized"}', 'slicer_audit_lost_total', 'slicer_audit_writable'].map(value),
    [2, 1, 1, 1, 1, 3, 1, 3, 1, 1, 0, 1],
  );
  assert.ok(value('slicer_audit_records_total') as number > 8);
  assert.ok(value('process_resident_memory_bytes') as number > 2 ** 20);
  assert.ok(value('process_open_fds') as number > 3 && value('process_open_fds') as number < 1000);
  assert.ok(Math.abs((value('process_start_time_seconds') as number) * 1000 - (Date.now() - process.uptime() * 1000)) < 5_000);
  agent.close();
});

test('the number of series does not depend on what VMs, secrets and guests there are', async (t) => {
  const { api, attach } = await bench(t);
  const series = async (): Promise<number> => [...parsePrometheus((await api('GET', '/metrics')).text).values()].reduce((sum, { samples }) => sum + samples.size, 0);
  const before = await series();
  for (const name of ['a', 'b', 'c']) await api('POST', '/secrets', { name, data: '' });
  const agents = [await attach('db'), await attach('web')];
  assert.equal(await series(), before);
  for (const agent of agents) agent.close();
});

test('metrics show that the audit log can\'t be written, and what that costs', async (t) => {
  const { api, directory } = await bench(t);
  const file = auditFile(directory);
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  await api('POST', '/secrets', { name: 'a', data: '' });
  const text = (await api('GET', '/metrics')).text;
  assert.match(text, /\nslicer_audit_writable 0\n/);
  assert.match(text, /\nslicer_audit_lost_total 1\n/);
  rmSync(file, { recursive: true });
});

test('over TCP metrics ask for a token, and the role read may see them', async (t) => {
  const { tcp, directory } = await bench(t, {
    config: (config) => ({ ...config, api: { ...config.api, sockets: [{ path: `${config.api.unix?.path}.read`, group: undefined, role: 'read' }] } }),
  });
  assert.equal((await call(tcp, 'GET', '/metrics')).status, 401);
  assert.equal((await call({ socketPath: join(directory, 'slicer.sock.read') }, 'GET', '/metrics')).status, 200);
});

test('a histogram counts each value in the bucket that it fits, and in all above', () => {
  const histogram = new Histogram([0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value);
  const text = formatFamilies([histogram.family('x_seconds', 'X.')]);
  assert.equal(text, `# HELP x_seconds X.
# TYPE x_seconds histogram
x_seconds_bucket{le="0.1"} 2
x_seconds_bucket{le="1"} 3
x_seconds_bucket{le="+Inf"} 4
x_seconds_sum 7.65
x_seconds_count 4
`);
  parsePrometheus(text);
});

test('labels and help are escaped', () => {
  const text = formatFamilies([byLabel('gauge', 'x', 'a\\b\nc', 'l', [['"\\\n', 1]])]);
  assert.equal(text, '# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{l="\\"\\\\\\n"} 1\n');
  parsePrometheus(text);
});

test('the parser that metrics are checked with refuses what is not the format', () => {
  for (const text of [
    'x 1\n', '# HELP x h\n# TYPE x gauge\nx 1', '# TYPE x gauge\nx 1\n', '# HELP x h\n# TYPE x gauge\ny 1\n', '# HELP x h\n# TYPE x gauge\nx 1\nx 1\n',
    '# HELP x h\n# TYPE x counter\nx 1\n', '# HELP x h\n# TYPE x gauge\nx{a="b",a="c"} 1\n', '# HELP x h\n# TYPE x gauge\nx{a=b} 1\n', '# HELP x h\n# TYPE x gauge\nx one\n',
    '# HELP x h\n# TYPE x histogram\nx_bucket{le="1"} 2\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 1\n', '# HELP x h\n# TYPE x gauge\n\nx 1\n',
  ]) assert.throws(() => parsePrometheus(text), text);
});
