import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { findHostParts } from '../../src/run/host-parts.ts';

/** What /sys/class/net shows of interfaces with these attributes. */
function sysfs(t: TestContext, interfaces: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-sysfs-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const [name, attributes] of Object.entries(interfaces)) {
    mkdirSync(join(directory, name));
    for (const [file, text] of Object.entries(attributes)) writeFileSync(join(directory, name, file), `${text}\n`);
  }
  return directory;
}

test('interfaces that are there are taken, and what is not there is named with how to make it', async (t) => {
  const path = sysfs(t, { tap0: { ifindex: '7', tun_flags: '0x1002' }, eth0: { ifindex: '2' }, mv0: { ifindex: '999999', address: '02:00:00:00:00:09' } });
  const { interfaces, problems } = await findHostParts({
    shares: [],
    interfaces: [
      { kind: 'user', mac: '02:00:00:00:00:01' }, { kind: 'tap', name: 'tap0', mac: '02:00:00:00:00:02' }, { kind: 'tap', name: 'eth0', mac: '02:00:00:00:00:03' },
      { kind: 'tap', name: 'gone', mac: '02:00:00:00:00:04' }, { kind: 'macvtap', name: 'mv0', mac: undefined }, { kind: 'macvtap', name: 'none', mac: undefined },
    ],
  }, path);
  assert.deepEqual(interfaces, [{ kind: 'user', mac: '02:00:00:00:00:01' }, { kind: 'tap', name: 'tap0', mac: '02:00:00:00:00:02' }]);
  assert.deepEqual(problems.map(({ code, message }) => `${code} ${message}`), [
    'missing_part the interface "eth0" is no tap', 'missing_part there is no interface "gone"',
    'missing_part /dev/tap999999 of the macvtap interface "mv0" can\'t be opened: ENOENT', 'missing_part there is no interface "none"',
  ]);
});

test('a share whose virtiofsd does not run is a problem', async (t) => {
  const directory = sysfs(t, {});
  const server = createServer().listen(join(directory, 'up.sock'));
  await once(server, 'listening');
  t.after(() => server.close());
  writeFileSync(join(directory, 'file.sock'), '');
  const share = (name: string) => ({ tag: name, socket: join(directory, `${name}.sock`) });
  const { problems } = await findHostParts({ interfaces: [], shares: [share('up'), share('file'), share('gone')] }, directory);
  assert.deepEqual(problems.map(({ message }) => message.replaceAll(directory, 'DIR')), [
    'there is no socket at DIR/file.sock, which the share "file" needs', 'there is no socket at DIR/gone.sock, which the share "gone" needs',
  ]);
});
