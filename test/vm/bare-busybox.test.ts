// `slicer-agent install` in a guest that has busybox and nothing else, not even an inittab, as docs/installation.md
// has it: the program is copied, `install` is typed, and from the next boot on secrets are there before what wants them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { BOOT_END, inventoryOf, makeBareGuest, put } from './bare-guest.ts';
import { MISSING_PART } from './parts.ts';
import { oneGroup, withSlicer } from './slicer.ts';

/** What is typed in the guest; the documentation says the rest: a program that needs its secret asks for a sync first. */
const TYPED = '/root/slicer-agent install --init inittab\n';

const RC = `#!/bin/sh
mount -t tmpfs run /run
mount -o remount,rw /
${BOOT_END}/etc/init.d/wants &
`;
const WANTS = `#!/bin/sh
until slicer-agent secrets sync > /dev/null 2>&1; do sleep 0.2; done
cat /run/slicer/secrets/key > /root/wanted 2>&1
`;

/** Two boots, one after the other. */
const BOOT_LIMIT_MS = 240_000;

const fixture = withSlicer(oneGroup(), {
  skip: MISSING_PART,
  prepare: async (slicer) => {
    const guest = await makeBareGuest(slicer.directory, TYPED, async (root) => {
      put(root, 'etc/init.d/rcS', RC, 0o755);
      put(root, 'etc/init.d/wants', WANTS, 0o755);
    });
    writeFileSync(slicer.path('key'), 'the key\n', { mode: 0o400 });
    writeFileSync(slicer.path('inventory.yaml'), inventoryOf(guest));
  },
  up: ['--inventory=inventory.yaml'],
});
const { skip } = fixture;

test('from the next boot on busybox\'s init does what it did without an inittab, and the agent runs, and what asks for its secrets has them', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.untilHolds('guest', BOOT_LIMIT_MS);
  await slicer.untilInGuest('guest', '[ -s /root/wanted ]');
  assert.equal(await slicer.inGuest('guest', 'cat /root/wanted; tail -n 1 /etc/inittab'), 'the key\n::respawn:/usr/bin/slicer-agent run\n');
  assert.match(await slicer.ok(['vm', 'logs', 'guest', '--lines=0']), /wrote \/usr\/bin\/slicer-agent\r*\nwrote \/etc\/inittab/);
});

test('an agent that is killed is started again', { skip }, async () => {
  const { slicer } = fixture;
  const before = await slicer.inGuest('guest', 'pidof slicer-agent');
  await slicer.inGuest('guest', '(sleep 0.3; kill -9 $(pidof slicer-agent); rm /run/slicer/secrets/key) > /dev/null 2>&1 & true');
  for (;;) {
    const { stdout, exitCode } = await slicer.run(['vm', 'exec', 'guest', '--shell', '--', 'pidof slicer-agent; cat /run/slicer/secrets/key']);
    if (exitCode !== 0 || stdout.startsWith(before.trim())) continue;
    assert.match(stdout, /^\d+\nthe key\n$/);
    return;
  }
});

test('uninstall takes out all that install put in', { skip }, async () => {
  const { slicer } = fixture;
  const left = 'ls /etc/inittab; ls /usr/bin/slicer-agent; true';
  const output = await slicer.inGuest('guest', `/root/slicer-agent uninstall && { ${left}; } 2>&1`);
  assert.equal(output, `removed /etc/inittab\nremoved /usr/bin/slicer-agent\nan agent that runs goes on until the next boot\nls: /etc/inittab: No such file or directory\nls: /usr/bin/slicer-agent: No such file or directory\n`);
});
