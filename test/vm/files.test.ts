// Files as they arrive: owners, modes, sizes, numbers, and what happens to them in the guest.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync } from 'node:fs';
import { test } from 'node:test';
import { oneGroup, withSlicer } from './slicer.ts';

const DIRECTORY = '/run/slicer/secrets';
const LONG_NAME = 'n'.repeat(253);
const MIB = 1024 * 1024;

const fixture = withSlicer(oneGroup(), {
  prepare: async (slicer) => {
    for (const [name, mode] of [['mode-0000', 0o000], ['mode-0777', 0o777], ['mode-0440', 0o440], ['owner', 0o640]] as const) {
      slicer.put(name, `value of ${name}\n`, mode);
      chownSync(slicer.path('.secrets', name), 4_000_000_000, 4_000_000_001);
    }
    slicer.put('setuid', 'not served');
    chmodSync(slicer.path('.secrets/setuid'), 0o4755);
    slicer.put(LONG_NAME, 'long name');
    slicer.put('empty', '');
  },
});
const { skip } = fixture;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const digestOf = async (name: string): Promise<string> =>
  (await fixture.slicer.inGuest('vm-1', `sha256sum ${DIRECTORY}/${name}`)).split(' ')[0] as string;

test('odd modes and owners are the same in the guest, 1:1', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch(), 'vm-1');
  assert.equal(await slicer.inGuest('vm-1', `cd ${DIRECTORY} && stat -c '%n %a %u:%g' mode-* owner`), [
    'mode-0000 0 4000000000:4000000001',
    'mode-0440 440 4000000000:4000000001',
    'mode-0777 777 4000000000:4000000001',
    'owner 640 4000000000:4000000001',
    '',
  ].join('\n'));
  assert.equal(await slicer.inGuest('vm-1', `cat ${DIRECTORY}/mode-0000`), 'value of mode-0000\n');
  assert.equal(await slicer.inGuest('vm-1', `stat -c '%a %u:%g' ${DIRECTORY}`), '755 0:0\n');
});

test('a setuid file is not served, and secret list -v warns about it', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.inGuest('vm-1', `ls ${DIRECTORY}/setuid 2>/dev/null || echo absent`), 'absent\n');
  const { stdout, stderr } = await slicer.run(['secret', 'list', '-v']);
  assert.match(stderr, /setuid/);
  assert.doesNotMatch(stdout, /^setuid/m);
});

test('a name of 253 characters and an empty secret arrive', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.inGuest('vm-1', `cat ${DIRECTORY}/${LONG_NAME}; stat -c %s ${DIRECTORY}/empty`), 'long name0\n');
});

test('a binary secret of 1 MiB arrives exactly, through the API and as a file', { skip }, async () => {
  const { slicer } = fixture;
  const [one, other] = [randomBytes(MIB), randomBytes(MIB)];
  await slicer.ok(['secret', 'create', 'big'], { stdin: one });
  assert.equal(await digestOf('big'), sha256(one));
  slicer.put('big', other);
  await slicer.untilInGuest('vm-1', `sha256sum ${DIRECTORY}/big | grep -q ^${sha256(other)}`);
});

test('a secret of more than 1 MiB is refused by the API, and not served from a file', { skip }, async () => {
  const { slicer } = fixture;
  const { exitCode, stderr } = await slicer.run(['secret', 'create', 'too-big'], { stdin: randomBytes(MIB + 1) });
  assert.equal(exitCode, 2);
  assert.match(stderr, /1048576/);
  slicer.put('too-big', randomBytes(MIB + 1));
  assert.match((await slicer.run(['secret', 'list', '-v'])).stderr, /too-big/);
  assert.equal(await slicer.inGuest('vm-1', `ls ${DIRECTORY}/too-big 2>/dev/null || echo absent`), 'absent\n');
});

test('what is deleted or altered in the guest is restored', { skip }, async () => {
  const { slicer } = fixture;
  slicer.put('kept', 'kept value\n');
  const restored = `[ "$(cat ${DIRECTORY}/kept 2>/dev/null)" = "kept value" ] && [ "$(stat -c '%a %u %F' ${DIRECTORY}/kept)" = "600 0 regular file" ]`;
  await slicer.untilInGuest('vm-1', `{ ${restored}; }`);
  for (const damage of [
    `rm ${DIRECTORY}/kept`,
    `echo altered > ${DIRECTORY}/kept`,
    `chmod 666 ${DIRECTORY}/kept`,
    `chown 1000 ${DIRECTORY}/kept`,
    `ln -sf /etc/passwd ${DIRECTORY}/kept`,
    `echo appended >> ${DIRECTORY}/kept`,
  ]) {
    await slicer.inGuest('vm-1', damage);
    await slicer.untilInGuest('vm-1', `{ ${restored}; }`);
  }
});

test('sync restores at once, says what it did by name, and says nothing when there is nothing to do', { skip }, async () => {
  const { slicer } = fixture;
  // While the agent's own watch is being told, sync must have restored the file when it returns.
  const printed = await slicer.inGuest('vm-1', `rm ${DIRECTORY}/kept; slicer-agent secrets sync; cat ${DIRECTORY}/kept`);
  assert.match(printed, /^((added|changed) kept\n)?kept value\n$/);
  assert.equal(await slicer.inGuest('vm-1', 'slicer-agent secrets sync'), '');
  assert.match(await slicer.inGuest('vm-1', 'slicer-agent secrets sync -v'), /^\d+ unchanged, in [\d.]+ ms\n$/);
});

test('a file that somebody in the guest put there stays', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.inGuest('vm-1', `echo mine > ${DIRECTORY}/mine`);
  await slicer.ok(['secret', 'update', 'kept'], { stdin: 'kept value 2\n' });
  await slicer.inGuest('vm-1', 'slicer-agent secrets sync');
  assert.equal(await slicer.inGuest('vm-1', `cat ${DIRECTORY}/mine; rm ${DIRECTORY}/mine`), 'mine\n');
});

test('unchanged files keep inode and times while others change, and over a sync', { skip }, async () => {
  const { slicer } = fixture;
  const look = `stat -c '%n %i %Y %Z' ${DIRECTORY}/owner ${DIRECTORY}/empty ${DIRECTORY}/mode-0777 ${DIRECTORY}`;
  const files = (listing: string): string[] => listing.trimEnd().split('\n').map((line, index) =>
    index === 3 ? line.split(' ').slice(0, 2).join(' ') : line);
  const before = files(await slicer.inGuest('vm-1', look));
  await slicer.ok(['secret', 'update', 'kept'], { stdin: 'kept value 3\n' });
  await slicer.inGuest('vm-1', `rm ${DIRECTORY}/kept; slicer-agent secrets sync`);
  assert.deepEqual(files(await slicer.inGuest('vm-1', look)), before);
});

test('a reader that holds the directory sees the new value: it is the same directory', { skip }, async () => {
  const { slicer } = fixture;
  const script = `cd ${DIRECTORY} && before=$(cat kept) && echo ready > /tmp/held && n=0;`
    + ' until [ "$(cat kept)" != "$before" ]; do n=$((n+1)); [ $n -lt 500 ] || exit 1; usleep 20000; done; cat kept';
  const reader = slicer.inGuest('vm-1', script);
  await slicer.untilInGuest('vm-1', '[ -e /tmp/held ]');
  await slicer.ok(['secret', 'update', 'kept'], { stdin: 'seen\n' });
  assert.equal(await reader, 'seen\n');
});

test('a directory that is bind-mounted into a container follows changes; a single file shows what was there when it started', { skip }, async () => {
  const { slicer } = fixture;
  await slicer.ok(['secret', 'create', 'mounted'], { stdin: 'old' });
  // A container as far as its mounts go: a mount namespace of its own.
  await slicer.inGuest('vm-1', `mkdir /tmp/all && touch /tmp/one && rm -f /tmp/container && mkfifo /tmp/ready
    unshare -m sh -c 'mount -o bind,ro ${DIRECTORY} /tmp/all && mount -o bind,ro ${DIRECTORY}/mounted /tmp/one && echo $$ > /tmp/container && echo > /tmp/ready && exec sleep 1000' > /dev/null 2>&1 < /dev/null &
    read line < /tmp/ready`);
  const inside = (): Promise<string> => slicer.inGuest('vm-1', 'cd /proc/$(cat /tmp/container)/root/tmp && cat all/mounted && echo && cat one');
  assert.equal(await inside(), 'old\nold');
  await slicer.ok(['secret', 'update', 'mounted'], { stdin: 'new' });
  assert.equal(await inside(), 'new\nold');
  await slicer.ok(['secret', 'remove', 'mounted']);
  assert.equal(await slicer.inGuest('vm-1', 'cd /proc/$(cat /tmp/container)/root/tmp && ls all/mounted 2>&1; cat one; kill $(cat /tmp/container)'), 'ls: all/mounted: No such file or directory\nold');
});

test('a full file system in the guest keeps the old set, is reported on both sides, and mends itself', { skip }, async () => {
  const { slicer } = fixture;
  const listing = `cd ${DIRECTORY} && sha256sum *`;
  const before = await slicer.inGuest('vm-1', listing);
  // A small limit on the file system that holds the secrets stands for a guest that is out of memory.
  const mount = (await slicer.inGuest('vm-1', `df ${DIRECTORY} | tail -n 1 | sed 's/.* //'`)).trim();
  const used = Number(await slicer.inGuest('vm-1', `df -k ${DIRECTORY} | tail -n 1 | awk '{print $3}'`));
  await slicer.inGuest('vm-1', `mount -o remount,size=${used + 64}k ${mount}`);

  const value = randomBytes(MIB);
  await slicer.ok(['secret', 'update', 'big', '--no-wait'], { stdin: value });
  const sync = await slicer.run(['vm', 'exec', 'vm-1', '--', 'slicer-agent', 'secrets', 'sync']);
  assert.notEqual(sync.exitCode, 0);
  assert.equal(sync.stdout, '');
  assert.match(sync.stderr, /^slicer-agent: error: big: .*[Nn]o space left on device\n$/);
  assert.equal(await slicer.inGuest('vm-1', listing), before);
  const { stdout } = await slicer.run(['vm', 'secrets', 'vm-1']);
  assert.match(stdout, /^vm-1 +big +failed.*space/m);

  await slicer.inGuest('vm-1', `mount -o remount,size=50% ${mount}`);
  await slicer.untilHolds('vm-1');
  assert.equal(await digestOf('big'), sha256(value));
});

test('1,000 secrets arrive in a VM, and all go when they are removed', { skip }, async () => {
  const { slicer } = fixture;
  for (let number = 0; number < 1000; number += 1) slicer.put(`many-${number}`, `value ${number} ${'x'.repeat(1000)}`);
  await slicer.untilInGuest('vm-1', `[ "$(ls ${DIRECTORY} | grep -c ^many-)" = 1000 ]`, 60_000);
  assert.match(await slicer.inGuest('vm-1', `cd ${DIRECTORY} && cut -c -10 many-0 many-999`), /^value 0 xx\nvalue 999 \n$/);
  const second = await slicer.launch('--ram-mb=192');
  assert.equal(await slicer.inGuest(second, `ls ${DIRECTORY} | grep -c ^many-`), '1000\n');
  const { exitCode } = await slicer.shell('rm .secrets/many-*');
  assert.equal(exitCode, 0);
  await slicer.untilInGuest('vm-1', `[ "$(ls ${DIRECTORY} | grep -c ^many-)" = 0 ]`, 60_000);
  await slicer.untilInGuest(second, `[ "$(ls ${DIRECTORY} | grep -c ^many-)" = 0 ]`, 60_000);
});

test('no reader in the guest sees a mix of two values or a short file while they change', { skip }, async () => {
  const { slicer } = fixture;
  const value = (letter: string): string => letter.repeat(64 * 1024);
  await slicer.ok(['secret', 'create', 'letters'], { stdin: value('a') });
  const reader = slicer.inGuest('vm-1', `rm -f /tmp/stop; touch /tmp/reading; while [ ! -e /tmp/stop ]; do`
    + ` cp ${DIRECTORY}/letters /tmp/copy; wc -c < /tmp/copy; head -c 1 /tmp/copy; tail -c 1 /tmp/copy; echo; done | sort | uniq`);
  await slicer.untilInGuest('vm-1', '[ -e /tmp/reading ]');
  for (const letter of 'bcdefghij') await slicer.ok(['secret', 'update', 'letters'], { stdin: value(letter) });
  await slicer.inGuest('vm-1', 'touch /tmp/stop');
  const seen = (await reader).trimEnd().split('\n');
  assert.deepEqual(seen.filter((line) => !/^(65536|([a-j])\2)$/.test(line)), []);
  assert.ok(seen.length > 2, 'the reader saw values change');
});
