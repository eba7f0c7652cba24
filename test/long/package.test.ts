// The Debian package in a Debian 13 that systemd runs, as a user has it: installed, used, upgraded while a VM
// runs, removed. That Debian is itself a VM of Slicer's. Where it is emulated, its processor has SVM, and the VM in
// it KVM: emulated twice, a VM takes a quarter of an hour to boot, if it does.
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { after, test } from 'node:test';
import { spawnSync } from 'node:child_process';
import { ensureBusybox } from '../../image/busybox.ts';
import { ensureKernel } from '../../image/kernel.ts';
import { ensureTinyImage } from '../../image/tiny.ts';
import { ensureVhostDeviceVsock } from '../../image/vhost-device-vsock.ts';
import { VERSION } from '../../src/api/version.ts';
import { DEFAULT_UIDS } from '../../src/vm/vm-user.ts';
import { findAccelerator } from '../../src/vmm/accelerator.ts';
import { makePackage, makePackageOfVersion, scratchDirectory } from '../package/made-package.ts';
import { BROUGHT_VMMS, findVmms, type BroughtVmm } from '../lab/lab.ts';
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

/** The granted secret, as the VM has it. */
const valueIn = (vm: string): Promise<string> => inside(`slicer vm exec ${vm} -- cat /run/slicer/secrets/api-key`);

/** The service is up when its daemon answers, which a client finds out by asking. */
const UNTIL_UP = 'n=0; until slicer info >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 200 ] || { journalctl --no-pager -u slicer | tail -20; exit 1; }; done';

async function install(file: string): Promise<void> {
  const name = basename(file);
  await inside(`cat > /root/${name}`, readFileSync(file));
  await inside(`cd /root; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ./${name} && rm ${name}`);
  await inside(UNTIL_UP);
}

interface InnerVm {
  readonly name: string;
  readonly vmm: string;
}

const vmms = findVmms({}, process.env);
const isEmulated = await findAccelerator(process.env['SLICER_ACCEL']) === 'tcg';

function whatIsMissing(vmm: BroughtVmm): string | false {
  if (vmms[vmm] === undefined) return `${vmm} is not on the PATH: SLICER_LAB_${vmm.replaceAll('-', '_').toUpperCase()}=PATH`;
  return vmm === 'firecracker' && isEmulated && 'Firecracker needs a processor with XSAVE, which an emulated guest has not';
}

/** In the order in which they are launched. */
const VMS: readonly InnerVm[] = ['qemu-system-x86_64', ...BROUGHT_VMMS.filter((vmm) => whatIsMissing(vmm) === false)].map((vmm, index) => ({ name: `web-${index + 1}`, vmm }));

/** Of the VMMs, and of the service's daemon. */
const pidsOf = async (): Promise<string> => inside(VMS.map(({ vmm }) => `pidof ${vmm}`).join('; '));
const daemonPid = async (): Promise<string> => (await inside('systemctl show --property MainPID --value slicer')).trim();

/** Prints whether Cloud Hypervisor says that Landlock is on. */
const isConfined = (vm: string): string => `/usr/lib/slicer/node -e "
  require('http').get({ socketPath: process.argv[1], path: '/api/v1/vm.info' }, async (answer) => {
    console.log(JSON.parse(Buffer.concat(await answer.toArray())).config.landlock_enable);
  })" /run/slicer-0/*/${vm}/control.sock`;

/** Whatever is called so, on disks and in memory. That Debian is a VM of Slicer's, and has an agent. */
const NAMED = "find / /run /dev/shm -xdev -iname '*slicer*' | sort";

/** What was made once, and never changes: of a directory only the mark of its last use does, of which tar warns with an exit code of 1. */
function archiveOf(entries: readonly string[]): Buffer {
  const { status, stdout, stderr } = spawnSync('tar', ['-C', dirname(entries[0] as string), '-cf', '-', ...entries.map((entry) => basename(entry))], { maxBuffer: 2 ** 30 });
  assert.ok(status === 0 || status === 1, stderr.toString());
  return stdout;
}

test('the package installs with what Debian has, and its service runs', { skip, timeout: LIMIT_MS }, async () => {
  await fixture.slicer.launch('--timeout=5m');
  // Before the service starts, which then finds /dev/kvm. Emulated nested paging is not sound (npt=0).
  await inside('modprobe kvm_amd npt=0 || modprobe kvm_intel || true');
  await inside(`${NAMED} > /root/named; apt-get update -qq`);
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
  await inside('DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends qemu-system-x86 debian-archive-keyring xz-utils');
  const [kernel, busybox, tiny, device] = await Promise.all([ensureKernel(), ensureBusybox(), ensureTinyImage(), ensureVhostDeviceVsock()]);
  // What it would fetch, which is not what is tested here.
  await inside('tar -xf - -C /var/cache/slicer', archiveOf([dirname(kernel.vmlinux), busybox.directory, dirname(tiny.initrd), dirname(device)]));
  await inside('slicer image build');
  assert.equal(await inside(`slicer vm launch --wait --timeout=${LIMIT_MS / 1000}s --secret=api-key --ram-mb=128`), 'web-1\n');
  assert.equal(await valueIn('web-1'), 'a value\n');
});

for (const vmm of BROUGHT_VMMS) {
  test(`a VM is launched by the service on ${vmm}`, { skip: skip || whatIsMissing(vmm), timeout: LIMIT_MS }, async () => {
    await inside(`cat > /usr/local/bin/${vmm}; chmod 755 /usr/local/bin/${vmm}`, readFileSync(vmms[vmm] as string));
    const { name } = VMS.find((each) => each.vmm === vmm) as InnerVm;
    assert.equal(await inside(`slicer vm launch --hypervisor=${vmm} --wait --timeout=${LIMIT_MS / 1000}s --secret=api-key --ram-mb=128`), `${name}\n`);
    assert.equal(await valueIn(name), 'a value\n');
    if (vmm === 'cloud-hypervisor') assert.equal(await inside(isConfined(name)), await inside('grep -q landlock /sys/kernel/security/lsm && echo true || echo false'));
  });
}

for (const { vmm } of VMS) test(`under the service a VM has a user of its own, who reads neither the store nor what is another's: ${vmm}`, { skip, timeout: LIMIT_MS }, async () => {
  const [pid, daemon] = [(await inside(`pidof ${vmm}`)).trim(), await daemonPid()];
  const status = await inside(`cat /proc/${pid}/status`);
  const valueOf = (name: string): string => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
  const uid = Number(valueOf('Uid').split('\t')[0]);
  assert.ok(uid >= DEFAULT_UIDS.first && uid <= DEFAULT_UIDS.last, status);
  assert.deepEqual([valueOf('Uid'), valueOf('Gid')], Array(2).fill(Array(4).fill(uid).join('\t')));
  assert.deepEqual(['CapPrm', 'CapEff', 'CapAmb', 'NoNewPrivs', 'Seccomp'].map(valueOf), ['0000000000000000', '0000000000000000', '0000000000000000', '1', '2']);

  // Where that process is, and as its user: what root reads there, it does not.
  const asVm = (command: string): Promise<string> => inside(`nsenter --target ${pid} --mount setpriv --reuid=${uid} --regid=${uid} --clear-groups sh -c '${command}' 2>/dev/null || echo refused`);
  const asRoot = (command: string): Promise<string> => inside(`nsenter --target ${pid} --mount sh -c '${command}'`);
  const places = (await inside(`echo ${VMS.map(({ name }) => `/run/slicer-0/*/${name}`).join(' ')}`)).trim().split(' ');
  for (const command of ['cat /var/lib/slicer/secrets/api-key', 'ls /var/lib/slicer', `cat ${places[0]}/boot-token`, ...places.map((place) => `ls ${place}`), `cat /proc/${daemon}/environ`]) {
    assert.notEqual(await asRoot(command), '', command);
    assert.equal(await asVm(command), 'refused\n', command);
  }
  assert.match(await asVm('slicer secret list 2>&1'), /this user may not connect/);
});

test('systemd says at most OK of the service\'s exposure', { skip, timeout: LIMIT_MS }, async (t) => {
  const said = (await inside('systemd-analyze security --no-pager slicer.service | tail -n 1; systemd-analyze --version | head -n 1')).trim();
  t.diagnostic(`in all: ${said.replace('\n', ', ')}`);
  assert.match(said, /Overall exposure level for slicer\.service: [0-4]\.\d OK/);
});

test('systemctl restart, stop and start leave VMs running, and journalctl has the log', { skip, timeout: LIMIT_MS }, async () => {
  const [pids, daemon] = [await pidsOf(), await daemonPid()];
  await inside('systemctl restart slicer');
  assert.notEqual(await daemonPid(), daemon);
  await inside('systemctl stop slicer; systemctl start slicer');
  assert.equal(await pidsOf(), pids);
  for (const { name } of VMS) assert.equal(await valueIn(name), 'a value\n');
  assert.match(await inside('journalctl --no-pager --output=cat -u slicer'), /slicer is up/);
});

test('an upgrade keeps VMs running, their secrets in place, and serves them on', { skip, timeout: LIMIT_MS }, async () => {
  const [pids, daemon] = [await pidsOf(), await daemonPid()];
  await install(await makePackage(scratch));
  assert.match(await inside('slicer version'), new RegExp(`^slicer ${VERSION.replaceAll('.', '\\.')} `));
  assert.match(await inside('slicer info --json'), new RegExp(`"version": "${VERSION.replaceAll('.', '\\.')}"`));
  assert.notEqual(await daemonPid(), daemon, 'the daemon is the new one');
  assert.equal(await pidsOf(), pids, 'the VMs are those from before');
  const listed = await inside('slicer vm list');
  for (const { name } of VMS) assert.match(listed, new RegExp(`^${name} .*Running`, 'm'));
  assert.match(await inside('slicer secret list'), /^api-key$/m);
  for (const { name } of VMS) assert.equal(await valueIn(name), 'a value\n');
  await inside('echo "a newer value" | slicer secret update api-key --wait=5m');
  for (const { name } of VMS) assert.equal(await valueIn(name), 'a newer value\n');
});

test('what is removed leaves no VM and no service, also of one that was stopped, and keeps secrets and configuration', { skip, timeout: LIMIT_MS }, async () => {
  // Which has left its VMs running.
  await inside('systemctl disable --now slicer');
  await inside('apt-get -qq -y remove slicer');
  assert.equal(await inside(`pidof ${VMS.map(({ vmm }) => vmm).join(' ')} vhost-device-vsock || true`), '');
  assert.equal(await inside('systemctl is-active slicer || true; command -v slicer || true'), 'inactive\n');
  assert.equal(await inside('cat /var/lib/slicer/secrets/api-key; ls /etc/slicer'), 'a newer value\nslicer.yaml\n');
  assert.equal(await inside('ls -A /run/slicer-0 /run/slicer-users 2>/dev/null || true'), '', 'the VM\'s sockets, token and user are gone');
  assert.match(await inside('dpkg --purge slicer 2>&1'), /stay in \/var\/lib\/slicer/);
  const left = (await inside(`${NAMED} | comm -13 /root/named -`)).trim().split('\n');
  assert.deepEqual(left.filter((path) => path !== '/var/lib/slicer' && !path.startsWith('/var/lib/slicer/')), []);
  assert.equal(await inside('cat /var/lib/slicer/secrets/api-key'), 'a newer value\n');
});
