// The Debian package in a Debian 13 that systemd runs, as a user has it: installed, used, upgraded while a VM
// runs, removed. That Debian is itself a VM of Slicer's. Where it is emulated, its processor has SVM, and the VM in
// it KVM: emulated twice, a VM takes a quarter of an hour to boot, if it does.
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { after, test } from 'node:test';
import { execFileSync } from 'node:child_process';
import { ensureBusybox } from '../../image/busybox.ts';
import { ensureKernel } from '../../image/kernel.ts';
import { ensureTinyImage } from '../../image/tiny.ts';
import { ensureVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import { VERSION } from '../../src/api/version.ts';
import { makePackage, makePackageOfVersion, scratchDirectory } from '../package/made-package.ts';
import { MISSING_DEBIAN } from '../vm/parts.ts';
import { oneGroup, withSlicer } from '../vm/slicer.ts';

/** One that sorts before any other. */
const BEFORE = '0.0.0-0';

const fixture = withSlicer(oneGroup('network: user', 'secrets: none').replace('image: tiny', 'image: debian').replace('ram_mb: 192', 'ram_mb: 3072').replace('vcpu: 1', 'vcpu: 2'), { skip: MISSING_DEBIAN });
const { skip } = fixture;
const MACHINE = 'vm-1';
/** Of each step, on a machine that has much else to do. */
const LIMIT_MS = 25 * 60_000;

const scratch = scratchDirectory();
after(() => rmSync(scratch, { recursive: true }));

/** A script for the shell of the Debian that the package is in. */
const inside = (script: string, stdin?: Uint8Array): Promise<string> =>
  fixture.slicer.inGuest(MACHINE, script, { limitMs: LIMIT_MS, ...(stdin === undefined ? {} : { stdin }) });

/** The service is up when its daemon answers, which a client finds out by asking. */
const UNTIL_UP = 'n=0; until slicer info >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 200 ] || { journalctl --no-pager -u slicer | tail -20; exit 1; }; done';

async function install(file: string): Promise<string> {
  await inside(`cat > /root/${basename(file)}`, readFileSync(file));
  const output = await inside(`dpkg -i /root/${basename(file)} 2>&1; rm /root/*.deb`);
  await inside(UNTIL_UP);
  return output;
}

/** Of the process, and of the service's daemon. */
const qemuPid = async (): Promise<string> => (await inside('pidof qemu-system-x86_64')).trim();
const daemonPid = async (): Promise<string> => (await inside('systemctl show --property MainPID --value slicer')).trim();

test('the package installs with what Debian has, and its service runs', { skip, timeout: LIMIT_MS }, async () => {
  await fixture.slicer.launch('--timeout=5m');
  // Before the service starts, which then finds /dev/kvm. Emulated nested paging is not sound (npt=0).
  await inside('modprobe kvm_amd npt=0 || modprobe kvm_intel || true');
  await install(await makePackageOfVersion(scratch, BEFORE));
  assert.match(await inside('slicer version'), new RegExp(`^slicer ${BEFORE} `));
  assert.equal(await inside('systemctl is-enabled slicer; systemctl is-active slicer'), 'enabled\nactive\n');
  assert.equal(await inside('stat -c "%a %U %G" /var/lib/slicer /run/slicer/slicer.sock /etc/slicer/slicer.yaml'), '700 root root\n600 root root\n644 root root\n');
  await inside('echo "a value" | slicer secret create api-key --uid=1000');
  assert.match(await inside('slicer secret list'), /^api-key$/m);
  assert.equal(await inside('cat /var/lib/slicer/secrets/api-key'), 'a value\n');
  // The image has no documentation, and of packages that come later neither.
  assert.equal(await inside('dpkg --verify slicer | grep -vE " /usr/share/(doc|man|lintian)(/|$)" || true'), '');
  assert.equal(await inside('ls /usr/lib/slicer/build | grep compiled || true'), '', 'what only dpkg may write to stays as it is');
  assert.match(await inside('setpriv --reuid=1000 --clear-groups slicer secret list 2>&1 || true'), /this user may not connect/);
});

test('a VM is launched by the service', { skip, timeout: LIMIT_MS }, async () => {
  await inside('apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends qemu-system-x86 debian-archive-keyring xz-utils');
  const [kernel, busybox, tiny, device] = await Promise.all([ensureKernel(), ensureBusybox(), ensureTinyImage(), ensureVhostDeviceVsock()]);
  const entries = [dirname(kernel.vmlinux), busybox.directory, dirname(tiny.initrd), dirname(device)];
  const archive = execFileSync('tar', ['-C', dirname(dirname(kernel.vmlinux)), '-cf', '-', ...entries.map((entry) => basename(entry))], { maxBuffer: 2 ** 30 });
  // What it would fetch, which is not what is tested here.
  await inside('tar -xf - -C /var/cache/slicer', archive);
  await inside('slicer image build');
  assert.equal(await inside(`slicer vm launch --wait --timeout=${LIMIT_MS / 1000}s --secret=api-key --ram-mb=128`), 'web-1\n');
  assert.equal(await inside('slicer vm exec web-1 -- cat /run/slicer/secrets/api-key'), 'a value\n');
});

test('an upgrade keeps the VM running, its secrets in place, and serves it on', { skip, timeout: LIMIT_MS }, async () => {
  const [qemu, daemon] = [await qemuPid(), await daemonPid()];
  await install(await makePackage(scratch));
  assert.match(await inside('slicer version'), new RegExp(`^slicer ${VERSION.replaceAll('.', '\\.')} `));
  assert.match(await inside('slicer info --json'), new RegExp(`"version": "${VERSION.replaceAll('.', '\\.')}"`));
  assert.notEqual(await daemonPid(), daemon, 'the daemon is the new one');
  assert.equal(await qemuPid(), qemu, 'the VM is the one from before');
  assert.match(await inside('slicer vm list'), /^web-1 .*Running/m);
  assert.match(await inside('slicer secret list'), /^api-key$/m);
  assert.equal(await inside('slicer vm exec web-1 -- cat /run/slicer/secrets/api-key'), 'a value\n');
  await inside('echo "a newer value" | slicer secret update api-key --wait=5m');
  assert.equal(await inside('slicer vm exec web-1 -- cat /run/slicer/secrets/api-key'), 'a newer value\n');
});

test('what is removed leaves no VM and no service, and keeps secrets and configuration', { skip, timeout: LIMIT_MS }, async () => {
  await inside('apt-get -qq -y remove slicer');
  assert.equal(await inside('pidof qemu-system-x86_64 vhost-device-vsock || true'), '');
  assert.equal(await inside('systemctl is-active slicer || true; command -v slicer || true'), 'inactive\n');
  assert.equal(await inside('cat /var/lib/slicer/secrets/api-key; ls /etc/slicer'), 'a newer value\nslicer.yaml\n');
  // /usr/lib/slicer is the image's own, too.
  assert.match(await inside('dpkg --purge slicer 2>&1'), /stay in \/var\/lib\/slicer/);
  assert.equal(await inside('cat /var/lib/slicer/secrets/api-key; ls -d /etc/slicer /var/cache/slicer /usr/lib/slicer/node /usr/lib/slicer/build 2>/dev/null || true'), 'a newer value\n');
});
