// VMs of microvm.nix: what `slicer run` is told of them, and the drop-in of their service, on every hypervisor.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../src/config/run-file-parse.ts';
import type { RunFile } from '../../src/config/run-file.ts';
import { MICROVM_NIX, NIX, nixStore, type Host } from './nix-instantiate.ts';

const nix = nixStore();
interface MicrovmHost extends Host {
  /** What microvm.nix itself would start; only where it is there. */
  readonly commands?: Readonly<Record<string, string>>;
}
const hostWith = (guests: string, vms: string): Promise<MicrovmHost> => nix.evaluate(`
  import (root + "/test/nix/microvm.nix") { inherit lib; microvmNix = ${MICROVM_NIX === undefined ? 'null' : `"${MICROVM_NIX}"`}; }
    { guests = ${guests}; slicer.vms = ${vms}; }`);
const fileOf = (host: Host, name: string): RunFile => parseRunFile(host.files[`slicer/vms/${name}.json`] as string, { file: name, directory: '/var/lib/microvms' });

const PROGRAMS = { qemu: 'qemu_kvm', 'cloud-hypervisor': 'cloud-hypervisor', firecracker: 'firecracker' } as const;

for (const hypervisor of ['qemu', 'cloud-hypervisor', 'firecracker'] as const) {
  test(`on ${hypervisor} the service of microvm.nix starts slicer run, with the credentials`, NIX, async () => {
    const host = await hostWith(`{ db.hypervisor = "${hypervisor}"; }`, '{ db = { credentialFiles.API_KEY = "/run/secrets/api"; runtimeSecrets.b.secretPath = "/run/b"; }; }');
    assert.deepEqual(host.faults, []);
    const service = host.services['microvm@db'];
    const { 'X-RestartIfChanged': _, ...settings } = service?.serviceConfig ?? {};
    assert.deepEqual(settings, {
      Type: 'notify', NotifyAccess: 'all', KillMode: 'mixed',
      ExecStart: ['', '/opt/slicer/bin/slicer run /etc/slicer/vms/db.json'], ExecStop: [''],
      LoadCredential: ['API_KEY:/run/secrets/api', 'b:/run/b'],
      RuntimeDirectory: 'slicer-db', RuntimeDirectoryMode: '0711',
    });
    assert.deepEqual([service?.overrideStrategy, service?.path], ['asDropin', []]);
    assert.ok(service?.environment['PATH']?.endsWith(`:/pkgs/${PROGRAMS[hypervisor]}/bin`));
    assert.deepEqual(fileOf(host, 'db').secrets.map(({ wish, path }) => [wish.secret, path]), [['API_KEY', '/run/secrets/api'], ['b', '/run/b']]);
  });

  test(`on ${hypervisor} it boots what microvm.nix would boot`, NIX, async () => {
    const host = await hostWith(`{ db = {
      hypervisor = "${hypervisor}";
      mem = 768;
      volumes = [ { image = "data.img"; mountPoint = "/data"; size = 64; label = "data"; } { image = "/dev/vg/db"; mountPoint = null; autoCreate = false; size = 0; readOnly = true; } ];
      interfaces = [ { type = "tap"; id = "vm-db"; mac = "02:00:00:00:00:01"; } ];
      vsock.cid = 9;
    }; }`, '{ db = { }; }');
    const { vmm, boot, volumes, interfaces, cid, ramBytes, watchdog } = fileOf(host, 'db');
    assert.equal(vmm.hypervisor, hypervisor);
    assert.equal(ramBytes, 768 * 1024 * 1024);
    assert.deepEqual(volumes.slice(1), [
      { path: '/var/lib/microvms/data.img', readOnly: false, create: { sizeBytes: 64 * 1024 * 1024, fsType: 'ext4', label: 'data' } },
      { path: '/dev/vg/db', readOnly: true, create: undefined },
    ]);
    assert.match(volumes[0]?.path as string, /^\/pkgs\/microvm-store-disk/);
    assert.deepEqual([volumes[0]?.readOnly, volumes[0]?.create], [true, undefined]);
    assert.deepEqual(interfaces, [{ kind: 'tap', name: 'vm-db', mac: '02:00:00:00:00:01' }]);
    assert.deepEqual([cid, watchdog], [9, hypervisor === 'cloud-hypervisor']);
    assert.ok(boot.kind === 'kernel');
    assert.equal(boot.kernel, hypervisor === 'qemu' ? '/pkgs/linux/bzImage' : '/pkgs/linux-dev/vmlinux');
    for (const part of [boot.kernel, boot.initrd as string, boot.cmdline, volumes[0]?.path as string]) {
      assert.ok(host.commands === undefined || host.commands['db']?.includes(part), part);
    }
  });
}

test('shares, memory and OEM strings are those of microvm.nix', NIX, async () => {
  const host = await hostWith(`{ db = {
    hypervisor = "cloud-hypervisor";
    vcpu = 2;
    balloon = true;
    initialBalloonMem = 64;
    shares = [ { proto = "virtiofs"; tag = "ro-store"; source = "/nix/store"; mountPoint = "/nix/.ro-store"; socket = "db-virtiofs-ro-store.sock"; } ];
    storeOnDisk = false;
    cloud-hypervisor.platformOEMStrings = [ "io.systemd.credential:ENVIRONMENT=production" ];
  }; }`, '{ db = { }; }');
  const file = fileOf(host, 'db');
  assert.deepEqual(file.shares, [{ tag: 'ro-store', socket: '/var/lib/microvms/db-virtiofs-ro-store.sock' }]);
  assert.deepEqual([file.volumes, file.cpus, file.staticOemStrings], [[], 2, ['io.systemd.credential:ENVIRONMENT=production']]);
  assert.deepEqual(file.balloon, { sizeBytes: 64 * 1024 * 1024, deflateOnOom: true, freePageReporting: true });
});

test("a guest's own credentialFiles are kept, and what the host says of the VM wins", NIX, async () => {
  const host = await hostWith('{ db = { qemu.machine = "q35"; mem = 512; credentialFiles = { A = "/run/a"; B = "/run/b"; }; }; }', '{ db = { mem = 1024; credentialFiles.B = "/run/other"; }; }');
  const file = fileOf(host, 'db');
  assert.deepEqual([file.vmm.machine, file.ramBytes], ['q35', 1024 * 1024 * 1024]);
  assert.deepEqual(host.services['microvm@db']?.serviceConfig['LoadCredential'], ['A:/run/a', 'B:/run/other']);
});

test('what slicer run can not take over is refused by name, all at once', NIX, async () => {
  const host = await hostWith(`{
    a = { hypervisor = "crosvm"; preStart = "echo"; };
    b = { vcpu = 2; interfaces = [ { type = "tap"; id = "t"; mac = "02:00:00:00:00:01"; } { type = "bridge"; id = "b"; bridge = "br0"; mac = "02:00:00:00:00:02"; } ]; };
    c = { hypervisor = "firecracker"; volumes = [ { image = "a"; mountPoint = null; size = 1; serial = "x"; } ]; };
  }`, '{ a = { }; b.hypervisor = "qemu"; c = { }; }');
  assert.deepEqual(host.faults, [
    'VM a: slicer run does not take over microvm.hypervisor = "crosvm"',
    'VM a: slicer run does not take over microvm.preStart',
    'VM b: slicer run does not take over microvm.interfaces of type "bridge"',
    'VM b: slicer run does not take over microvm.interfaces of type "tap" with QEMU and more than one vcpu',
    'VM b: slicer run does not take over a hypervisor that is not microvm.hypervisor',
    'VM c: slicer run does not take over microvm.volumes with serial, direct, mkfsExtraArgs or imageType',
  ]);
});

test('a VM of microvm.nix that is not among services.slicer.vms stays as it is', NIX, async () => {
  const host = await hostWith('{ a = { }; b = { }; }', '{ a = { }; }');
  assert.ok(host.services['microvm@a']?.serviceConfig['ExecStart'] !== undefined);
  assert.ok(host.services['microvm@b']?.serviceConfig['ExecStart'] === undefined);
  assert.deepEqual(Object.keys(host.files).filter((file) => file.startsWith('slicer/')), ['slicer/vms/a.json']);
});
