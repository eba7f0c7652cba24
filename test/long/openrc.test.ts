// `slicer-agent install` in a guest made of Debian's busybox and OpenRC, as docs/installation.md has it: a
// service that needs secrets starts after them, the agent is started again when it ends, and what is taken
// out is all out.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GUEST_ARCH, openArchive, unpackPackage } from '../../image/archive.ts';
import { BOOT_END, inventoryOf, makeBareGuest, put } from '../vm/bare-guest.ts';
import { MISSING_PART } from '../vm/parts.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';

/** OpenRC, what its programs are linked with, and a shell. */
const PACKAGES = [
  'openrc', 'librc1t64', 'libeinfo1', 'libaudit1', 'libcap-ng0', 'libc6', 'libcap2', 'libpam0g', 'libselinux1', 'libpcre2-8-0', 'busybox',
];

const TYPED = `/root/slicer-agent install
rc-update add wants default
`;

/** As Alpine has it, with Debian's programs. */
const INITTAB = `::sysinit:/sbin/openrc sysinit
::sysinit:/sbin/openrc boot
::wait:/sbin/openrc default
::once:/etc/boot-end
::ctrlaltdel:/sbin/reboot
::shutdown:/sbin/openrc shutdown
`;
const WANTS = `#!/sbin/openrc-run
description="What needs secrets"
depend() {
	need slicer-secrets
}
start() {
	ebegin "Starting what needs secrets"
	cat /run/slicer/secrets/key > /root/wanted 2>&1
	eend $?
}
`;
/** Two boots, one after the other, and of shell scripts. */
const BOOT_LIMIT_MS = 900_000;

const fixture = withSlicer(oneGroup(), {
  skip: MISSING_PART,
  prepare: async (slicer) => {
    const archive = await openArchive('trixie', GUEST_ARCH);
    const packages = mkdtempSync(join(tmpdir(), 'slicer-openrc-'));
    const guest = await makeBareGuest(slicer.directory, TYPED, async (root) => {
      for (const name of PACKAGES) await unpackPackage(await archive.fetchPackage(name, packages), root);
      put(root, 'etc/inittab', INITTAB);
      put(root, 'etc/boot-end', `#!/bin/sh\n${BOOT_END}`, 0o755);
      put(root, 'etc/init.d/wants', WANTS, 0o755);
      put(root, 'etc/fstab', '');
    });
    rmSync(packages, { recursive: true });
    writeFileSync(slicer.path('key'), 'the key\n', { mode: 0o400 });
    writeFileSync(slicer.path('inventory.yaml'), inventoryOf(guest));
  },
  up: ['--inventory=inventory.yaml'],
});
const { skip } = fixture;

/** What a command of the guest's shell says as soon as it succeeds and says this, through restarts of guest and agent. */
async function untilSaid(command: string, pattern: RegExp): Promise<string> {
  const deadline = Date.now() + BOOT_LIMIT_MS;
  for (;;) {
    const { stdout, stderr, exitCode } = await fixture.slicer.run(['vm', 'exec', 'guest', '--shell', '--', command]);
    if (exitCode === 0 && pattern.test(stdout)) return stdout;
    assert.ok(Date.now() < deadline, `${command}: ${stdout}${stderr}${(await fixture.slicer.run(['vm', 'logs', 'guest'])).stdout}`);
  }
}

test('under OpenRC a service that needs secrets starts after they are in place', { skip }, async () => {
  const { slicer } = fixture;
  // Only the second boot starts it; the agent is there before, since OpenRC ran when it was installed.
  assert.equal(await untilSaid('rc-service wants status > /dev/null && cat /root/wanted', /./), 'the key\n');
  assert.match(await slicer.inGuest('guest', 'rc-service slicer-agent status; rc-update show'), /status: started[^]*slicer-agent \| boot/);
});

test('under OpenRC an agent that is killed is started again, more often than OpenRC does by itself', { skip }, async () => {
  const { slicer } = fixture;
  for (let round = 0; round < 12; round += 1) {
    const before = (await slicer.inGuest('guest', 'pidof slicer-agent; (sleep 0.3; kill -9 $(pidof slicer-agent)) > /dev/null 2>&1 &', { limitMs: 60_000 })).trim();
    assert.match(before, /^\d+$/);
    await untilSaid(`pidof slicer-agent`, new RegExp(`^(?!${before}\n)\\d+\n$`));
  }
  assert.equal(await slicer.inGuest('guest', 'cat /run/slicer/secrets/key'), 'the key\n');
});

test('under OpenRC uninstall stops the agent and takes out all that install put in', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.inGuest('guest', `setsid sh -c '
    { sleep 1 # so that this command has ended
      /root/slicer-agent uninstall
      ls /etc/init.d/slicer-agent /etc/runlevels/*/slicer-agent /usr/bin/slicer-agent
      pidof slicer-agent > /dev/null && echo runs
      /root/slicer-agent install; } > /root/report 2>&1 < /dev/null' > /dev/null 2>&1 &`);
  const report = await untilSaid('cat /root/report', /^wrote \/usr\/bin\/slicer-agent$/m);
  assert.match(report, /^removed \/etc\/runlevels\/boot\/slicer-agent\nremoved \/etc\/init\.d\/slicer-agent\nremoved \/usr\/bin\/slicer-agent$/m);
  for (const place of ['/etc/init.d/slicer-agent', '/usr/bin/slicer-agent']) assert.match(report, new RegExp(`^ls: ${place}: No such file`, 'm'));
  assert.doesNotMatch(report, /^runs$/m);
});
