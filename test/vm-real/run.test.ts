// `slicer run` on each real VMM: both channels, the two ways to end, and nothing left.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { Foreground, guestWith } from '../vm/foreground-vm.ts';
import { allProcesses } from '../vm/processes.ts';
import { groupLines, missingFor, type Variant } from './variant.ts';

const VARIANTS: readonly Variant[] = [
  { title: "QEMU q35 with the kernel's VSOCK", hypervisor: 'qemu', machine: 'q35', vsock: 'kernel' },
  { title: "QEMU microvm with the kernel's VSOCK", hypervisor: 'qemu', machine: 'microvm', vsock: 'kernel' },
  { title: 'Cloud Hypervisor', hypervisor: 'cloud-hypervisor' },
  { title: 'Firecracker', hypervisor: 'firecracker' },
];

const DB = randomBytes(20_000);
const API = randomBytes(3_000);
const ENDS_WELL = 0;

const foreground = new Foreground();
after(() => foreground.close());
foreground.put('db', DB);
foreground.put('api', API);

const sha256 = (value: Uint8Array): string => createHash('sha256').update(value).digest('hex');

/** Prints what the guest has of the credential, wherever it came in, and of the secret. */
const SCRIPT = `
smbios=/sys/firmware/dmi/entries/11-0/raw
fw_cfg=/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/DB/raw
until [ -s /tmp/db ] && [ -e /run/slicer/secrets/api ]; do
  if [ -e $smbios ]; then tr '\\0' '\\n' < $smbios | sed -n 's/^io.systemd.credential.binary:DB=//p' | base64 -d > /tmp/db; fi
  for file in $fw_cfg /run/credstore/DB; do [ -e $file ] && cat $file > /tmp/db; done
  usleep 100000
done
echo "db $(sha256sum < /tmp/db)"
echo "api $(sha256sum < /run/slicer/secrets/api)"
echo end-of-script`;

for (const variant of VARIANTS) {
  const skip = await missingFor(variant);
  const name = `${variant.hypervisor}-${variant.machine ?? 'vm'}`;
  const file = async (script: string): Promise<string> => {
    foreground.put(`${name}.yaml`, `name: ${name}\n${groupLines(variant).join('\n')}\n${await guestWith(foreground, script)}`
      + 'runtimeSecrets:\n  db: {oemCredentialName: DB, secretPath: db}\n  api: {secretPath: api, deliver: live}\n');
    return `${name}.yaml`;
  };
  const assertNothingLeft = async (): Promise<void> => {
    assert.deepEqual(await foreground.processes(name), []);
    assert.equal(existsSync(await foreground.runtimeDirectory(name)), false);
  };

  test(`${variant.title}: a guest that slicer run starts has its secrets, and is asked to power off by SIGTERM`, { skip }, async (t) => {
    const vm = foreground.run(['run', '--stop-grace=2m', await file(SCRIPT)]);
    t.after(() => vm.end('SIGKILL'));
    await vm.until(/end-of-script/);
    const printed = vm.output();
    assert.equal(/^db ([0-9a-f]+)/m.exec(printed)?.[1], sha256(DB), printed);
    assert.equal(/^api ([0-9a-f]+)/m.exec(printed)?.[1], sha256(API), printed);
    const canaries = [DB, API].flatMap((value) => (['latin1', 'base64', 'hex'] as const).map((encoding) => value.toString(encoding).slice(0, 40)));
    const readable = allProcesses().map(({ cmdline, environ }) => `${cmdline.toString('latin1')}${environ.toString('latin1')}`).join('\n') + printed;
    assert.deepEqual(canaries.filter((canary) => readable.includes(canary)), []);
    assert.equal(await vm.end('SIGTERM'), ENDS_WELL, vm.output());
    assert.match(vm.output(), /The system is going down NOW!/);
    await assertNothingLeft();
  });

  test(`${variant.title}: a guest that ends itself ends slicer run`, { skip }, async (t) => {
    const vm = foreground.run(['run', await file(variant.hypervisor === 'firecracker' ? 'reboot -f' : 'poweroff -f')]);
    t.after(() => vm.end('SIGKILL'));
    assert.equal(await vm.end(), ENDS_WELL, vm.output());
    await assertNothingLeft();
  });
}
