// The client's cheap checks and the API's schemas must agree on every answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from '@hono/zod-openapi';
import { auditRecord } from '../../src/api/audit.ts';
import { hostInfo } from '../../src/api/host.ts';
import { deletedNode, hostGroup, node } from '../../src/api/nodes.ts';
import { changedSecret, removedSecret, secretInfo, storeState } from '../../src/api/secrets.ts';
import { vmHealth, vmLogs, vmSecrets } from '../../src/api/vm.ts';
import * as shape from '../../src/client/shape.ts';

const TIME = '2025-12-08T11:12:00.000Z';
const delivery = { holding: 1, running: 2, pending: ['web-2'] };
const secret = { name: 'a', size: 1, permissions: '0600', uid: 0, gid: 0, mod_time: TIME, modified_at: TIME };
const vm = {
  hostname: 'web-1', hostgroup: 'web', ip: '', created_at: TIME, arch: 'amd64', status: 'Failed', tags: ['a'], hypervisor: 'qemu', cpus: 1, ram_bytes: 1,
  secrets: ['a'], credentials: [{ name: 'A', secret: 'a', deliver: 'both' }], attached: false, userdata_exit_code: 0, error: 'e', console: 'c',
};
const error = { code: 'ENOSPC', message: 'full' };

const cases: readonly [string, z.ZodType, (value: unknown) => boolean, Record<string, unknown>][] = [
  ['secret', secretInfo, shape.isSecretInfo, secret],
  ['changed secret', changedSecret, shape.isChangedSecret, { ...secret, delivery }],
  ['removed secret', removedSecret, shape.isRemovedSecret, { name: 'a', delivery }],
  ['store', storeState, shape.isStoreState, { skipped: [{ file: 'x~', reason: 'r' }], problem: 'p' }],
  ['info', hostInfo, shape.isHostInfo, { version: '1', git_commit: 'a', platform: 'linux', arch: 'arm64' }],
  ['host group', hostGroup, shape.isHostGroup, { name: 'web', count: 1, ram_bytes: 1, cpus: 1, gpu_count: 0, arch: 'amd64' }],
  ['node', node, shape.isNode, vm],
  ['deleted node', deletedNode, shape.isDeletedNode, { message: 'Node deleted', disk_removed: 'true' }],
  ['audit record', auditRecord, shape.isAuditRecord, {
    time: TIME, actor: 'admin', event: 'grant', vm: 'a', secret: 'a', outcome: 'ok', reason: 'r', id: '1', channel: 'boot', credential: 'A', grant: ['a'],
    credentials: [{ name: 'A', secret: 'a' }], request: 'GET /', exit_code: 1, suppressed: 1,
  }],
  ['logs', vmLogs, shape.isVmLogs, { hostname: 'a', lines: 1, content: 'x' }],
  ['health', vmHealth, shape.isVmHealth, { hostname: 'a', agent_uptime: 1, agent_version: '1', system_uptime: 1, userdata_ran: true }],
  ['vm secrets', vmSecrets, shape.isVmSecrets, {
    hostname: 'a', connected: true, synced: true, errors: [error],
    secrets: [{ name: 'a', state: 'failed', since: TIME, error }, { name: 'b', credential: 'c', state: 'pending' }],
  }],
];

for (const [what, schema, isOfShape, value] of cases) {
  test(`a ${what} is taken whole, and with any field missing exactly when the schema takes it`, () => {
    schema.parse(value);
    assert.ok(isOfShape(value));
    for (const field of Object.keys(value)) {
      const { [field]: _left, ...rest } = value;
      assert.equal(isOfShape(rest), schema.safeParse(rest).success, `without ${field}`);
    }
  });
  test(`a ${what} with a field of another type is refused, as the schema refuses it`, () => {
    for (const field of Object.keys(value)) {
      for (const wrong of [null, 7.5, {}, 'other', [7], true]) {
        const changed = { ...value, [field]: wrong };
        if (isOfShape(changed)) continue;
        assert.ok(!schema.safeParse(changed).success, `${field}: ${JSON.stringify(wrong)}`);
      }
      assert.ok(!isOfShape({ ...value, [field]: null }), `${field}: null`);
    }
    for (const wrong of [undefined, null, [], 'text', 5]) assert.ok(!isOfShape(wrong));
  });
}
