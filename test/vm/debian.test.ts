// The Debian image as its user has it: systemd is up, nothing failed, secrets are there before userdata, and
// nobody but root of the host gets in. All VMs share one disk, and none writes to it.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findDebianImage } from '../../image/debian.ts';
import { MISSING_DEBIAN } from './parts.ts';
import { eventually } from './patience.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const USERDATA = `userdata: |
        #!/bin/sh
        cat /run/slicer/secrets/api-key > /root/from-userdata
        ip -4 route show default >> /root/from-userdata`;

const fixture = withSlicer(oneGroup('network: user', 'secrets: [api-key]', USERDATA).replace('image: tiny', 'image: debian').replace('ram_mb: 192', 'ram_mb: 256'), {
  skip: MISSING_DEBIAN,
  prepare: async (slicer) => slicer.put('api-key', 'a value\n'),
});
const { skip } = fixture;

const disk = async () => {
  const { size, mtimeMs, ctimeMs } = statSync((await findDebianImage()).disks[0] as string);
  return { size, mtimeMs, ctimeMs };
};

test('a VM boots to systemd with nothing failed and nothing waiting', { skip }, async () => {
  const { slicer } = fixture;
  const vm = await slicer.launch('--timeout=120s', '--wait-userdata');
  assert.equal(vm, 'vm-1');
  assert.equal(await slicer.inGuest(vm, 'systemctl is-system-running --wait'), 'running\n');
  assert.equal(await slicer.inGuest(vm, 'systemctl --failed --quiet; systemctl list-jobs --quiet'), '');
  assert.equal(await slicer.inGuest(vm, '. /etc/os-release; echo $ID $VERSION_ID; hostname; cat /proc/1/comm'), 'debian 13\nvm-1\nsystemd\n');
});

test('userdata found its secret and the network', { skip }, async () => {
  assert.equal(await fixture.slicer.inGuest('vm-1', 'cat /root/from-userdata'), 'a value\ndefault via 10.0.2.2 dev eth0 \n');
  assert.equal(await fixture.slicer.inGuest('vm-1', 'cat /etc/resolv.conf'), 'nameserver 10.0.2.3\n');
});

test('the console says what systemd starts, without colours', { skip }, async () => {
  const log = await fixture.slicer.ok(['vm', 'logs', 'vm-1', '--lines=0']);
  assert.match(log, /^\[  OK  \] (Started|Finished) slicer-agent\.service/m);
  assert.match(log, /^\[  OK  \] Reached target multi-user\.target/m);
});

test('nobody can log in, and nothing listens', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.inGuest('vm-1', "awk -F: '$2 !~ /^!?[*]?$/ || $2 == \"\"' /etc/shadow"), '');
  assert.equal(await slicer.inGuest('vm-1', 'ss -Htlnu; ps -eo comm= | grep -E "getty|login$|sshd" || true'), '');
});

test('an ordinary user is one', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.inGuest('vm-1', 'id -un; touch ~ubuntu/mine && stat -c %U ~ubuntu/mine; cat /etc/shadow 2>&1 || true', { uid: 1000 }),
    'ubuntu\nubuntu\ncat: /etc/shadow: Permission denied\n');
});

test('a module that is packed on the disk can be loaded', { skip }, async () => {
  assert.match(await fixture.slicer.inGuest('vm-1', 'modprobe dummy && lsmod'), /^dummy /m);
});

test("VMs share the disk and see nothing of each other's changes, and the disk stays as it is", { skip }, async () => {
  const { slicer } = fixture;
  const before = await disk();
  await slicer.inGuest('vm-1', 'echo mine > /etc/mine; rm /etc/debian_version; echo >> /usr/bin/ls; sync');
  assert.notEqual((await slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', 'echo x > /dev/vda'])).exitCode, 0);
  const other = await slicer.launch('--timeout=120s', '--userdata=true');
  assert.equal(await slicer.inGuest(other, 'ls /etc/mine 2>&1; cat /etc/debian_version | cut -c1-3; ls -d /usr; cat /etc/machine-id | wc -c'),
    "ls: cannot access '/etc/mine': No such file or directory\n13.\n/usr\n33\n");
  assert.notEqual(await slicer.inGuest(other, 'cat /etc/machine-id'), await slicer.inGuest('vm-1', 'cat /etc/machine-id'));
  assert.deepEqual(await disk(), before);
  await slicer.ok(['vm', 'delete', other]);
});

test('a guest that restarts is as it was launched, and has its secrets again', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.run(['vm', 'exec', 'vm-1', '--', 'systemctl', 'reboot']);
  const isBack = async (): Promise<boolean> => /reboot: Restarting system[^]*Reached target multi-user\.target/.test(await slicer.ok(['vm', 'logs', 'vm-1', '--lines=0']));
  await eventually('the guest is back', isBack);
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/api-key; ls /etc/mine 2>/dev/null; cut -c1-3 /etc/debian_version'), 'a value\n13.\n');
});

test('the power button powers it off in order', { skip }, async () => {
  const { slicer } = fixture;
  // A service's last word, which only an orderly end lets it have.
  await slicer.inGuest('vm-1', 'systemd-run --quiet --unit=last-word --property=ExecStop="/bin/sh -c \'echo the last word > /dev/console\'" sleep infinity');
  const log = slicer.path('.slicer', 'vms', 'vm-1', 'console.log');
  let deleted = false;
  const deletion = slicer.ok(['vm', 'delete', 'vm-1']).finally(() => { deleted = true; });
  let seen = '';
  while (!deleted) {
    // It goes with the VM.
    seen = await readFile(log, 'utf8').catch(() => seen);
    await delay(20);
  }
  await deletion;
  assert.match(seen, /the last word[^]*reboot: Power down/);
});
