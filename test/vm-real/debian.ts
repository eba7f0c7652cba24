// The Debian guest on a real VMM: systemd's services load credentials in the same way on all, whichever channel
// brought them, and a guest that powers off ends its VM.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MISSING_DEBIAN } from '../vm/parts.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';
import { groupLines, missingFor, type Variant } from './variant.ts';

const CREDENTIAL = randomBytes(30_000);

export async function testDebian(variant: Variant): Promise<void> {
  const { title } = variant;
  const skip = MISSING_DEBIAN || await missingFor(variant);
  const config = oneGroup('secrets: none', ...groupLines(variant)).replace('image: tiny', 'image: debian').replace('ram_mb: 192', 'ram_mb: 512');
  const fixture = withSlicer(config, { skip, prepare: async (slicer) => slicer.put('db', CREDENTIAL) });

  /** A unit of the guest's, started; what systemd says of its end. */
  async function runUnit(name: string, service: readonly string[], unit: readonly string[] = []): Promise<string> {
    const text = ['[Unit]', ...unit, '[Service]', 'Type=oneshot', ...service, ''].join('\n');
    await fixture.slicer.inGuest('vm-1', `cat > /run/systemd/system/${name}.service && systemctl daemon-reload`, { stdin: text });
    return fixture.slicer.inGuest('vm-1', `systemctl start ${name}.service 2>&1; systemctl show -P Result ${name}.service`);
  }

  test(`${title}: a service reads the exact bytes of the credential that it names, and no other service does`, { skip }, async () => {
    assert.equal(await fixture.slicer.launch('--timeout=400s', '--credential=DB=db'), 'vm-1');
    const print = 'ExecStart=sh -c "cd $CREDENTIALS_DIRECTORY && sha256sum * > /tmp/%p"';
    assert.match(await runUnit('reads', ['LoadCredential=DB', 'User=ubuntu', print], ['Wants=slicer-secrets.target', 'After=slicer-secrets.target']), /^success$/m);
    assert.equal(await fixture.slicer.inGuest('vm-1', 'cat /tmp/reads'), `${createHash('sha256').update(CREDENTIAL).digest('hex')}  DB\n`);
    const places = '/run/credstore/DB /run/credentials/@system/DB';
    assert.match(await runUnit('has-none', ['User=ubuntu', `ExecStart=sh -c "echo directory=$CREDENTIALS_DIRECTORY > /tmp/%p; cat ${places} >> /tmp/%p 2>/dev/null; true"`]), /^success$/m);
    assert.equal(await fixture.slicer.inGuest('vm-1', 'cat /tmp/has-none'), 'directory=\n');
    const assertion = variant.hypervisor === 'firecracker' ? 'AssertPathExists=/run/credstore/absent' : 'AssertCredential=absent';
    await runUnit('lacks', ['LoadCredential=absent', 'ExecStart=touch /run/started-%p'], [assertion]);
    assert.equal(await fixture.slicer.inGuest('vm-1', 'ls /run/started-lacks 2>/dev/null; true'), '');
  });

  test(`${title}: a Debian guest that powers itself off is stopped`, { skip }, async () => {
    const { slicer } = fixture;
    await slicer.run(['vm', 'exec', 'vm-1', '--', 'systemctl', 'poweroff'], { limitMs: 60_000 });
    let status = '';
    for (let round = 0; round < 240 && status !== 'Stopped'; round += 1) {
      [{ status }] = JSON.parse(await slicer.ok(['vm', 'list', '--json'])) as [{ status: string }];
      await delay(250);
    }
    assert.equal(status, 'Stopped', await slicer.ok(['vm', 'logs', 'vm-1', '--lines=0']));
    await slicer.ok(['vm', 'delete', 'vm-1']);
  });
}
