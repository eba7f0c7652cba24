import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixedSecrets } from '../../src/live/fixed-secrets.ts';
import { startLiveVm } from '../../src/live/live-vm.ts';
import { Secret } from '../../src/secret/secret.ts';
import { bench, dependencies } from './live-vm.ts';
import { secretName } from './memory-store.ts';

test('a VM is served from secrets that are in no store', async (t) => {
  const { agent, vm: other, vsockPath } = await bench(t);
  await other.close();
  const source = fixedSecrets(new Map([
    [secretName('file'), new Secret(Buffer.from('1'))], [secretName('source'), new Secret(Buffer.from('2\n'))], [secretName('neither'), new Secret(Buffer.from('3'))],
  ]), 1_700_000_000_000);
  const vm = await startLiveVm(source, {
    hostname: 'run', vsockPath, grant: [secretName('file')], credentials: [{ name: 'c', secret: secretName('source'), trimNewline: true }],
  }, dependencies());
  t.after(() => vm.close());
  await agent.establish();
  assert.equal(await agent.sync(), 200);
  assert.equal(await agent.sync(), 304);
  const held = [...agent.held].map(([name, { mode, uid, gid, bytes }]) => `${name} ${mode.toString(8)} ${uid}:${gid} ${bytes}`);
  assert.deepEqual(held, ['file 600 0:0 1', '.cred.c 400 0:0 2']);
  assert.deepEqual(vm.status().deliveries.map(({ state }) => state), ['current', 'current']);
  await vm.whenHolds(source.snapshot().counter, AbortSignal.timeout(5_000));
});
