// VMs of a NixOS host: the file for `slicer run` and the unit that options become.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../src/config/run-file-parse.ts';
import { runFileSchema } from '../../src/config/run-file-schema.ts';
import { NIX, nixStore, type Host } from './nix-instantiate.ts';

const nix = nixStore();
const hostWith = (vms: string): Promise<Host> => nix.host(`[
  (import (root + "/nix")).nixosModules.host
  { services.slicer = { enable = true; program = "/opt/slicer/bin/slicer"; vms = ${vms}; }; }
]`);

test('a VM has every option that the file has keys, and no other', NIX, async () => {
  const options = await nix.evaluate<string[]>(`builtins.attrNames ((import (root + "/nix/vm-options.nix") { inherit lib; }).vm { })`);
  assert.deepEqual([...options, 'name'].sort(), Object.keys(runFileSchema.shape).sort());
});

test('what is set is in the file, and what is not set is not', NIX, async () => {
  const host = await hostWith(`{
    db = {
      hypervisor = "cloud-hypervisor";
      vcpu = 2;
      mem = 1024;
      kernel = "/boot/vmlinux";
      initrd = "/boot/initrd";
      cmdline = "console=ttyS0 quiet";
      volumes = [ { image = "data.img"; size = 64; fsType = "xfs"; mountPoint = "/data"; } ];
      shares = [ { tag = "logs"; socket = "logs.sock"; } ];
      interfaces = [ { type = "tap"; id = "vm-db"; mac = "02:00:00:00:00:01"; } ];
      vsock.cid = 7;
      balloon = { size = 128; deflateOnOOM = false; };
      watchdog = true;
      runtimeSecrets.db-password = { secretPath = "/run/secrets/db"; oemCredentialName = "DB_PASSWORD"; trimNewline = true; };
      credentialFiles.API_KEY = "/run/secrets/api";
      staticOEMStrings = [ "io.systemd.credential:ENVIRONMENT=production" ];
    };
  }`);
  assert.deepEqual(host.faults, []);
  assert.deepEqual(JSON.parse(host.files['slicer/vms/db.json'] as string), {
    name: 'db', hypervisor: 'cloud-hypervisor', vcpu: 2, mem: 1024, kernel: '/boot/vmlinux', initrd: '/boot/initrd', cmdline: 'console=ttyS0 quiet',
    volumes: [{ image: 'data.img', size: 64, fsType: 'xfs', mountPoint: '/data' }],
    shares: [{ tag: 'logs', socket: 'logs.sock' }],
    interfaces: [{ type: 'tap', id: 'vm-db', mac: '02:00:00:00:00:01' }],
    vsock: { cid: 7 },
    balloon: { size: 128, deflateOnOOM: false },
    watchdog: true,
    runtimeSecrets: { 'db-password': { secretPath: '/run/secrets/db', oemCredentialName: 'DB_PASSWORD', trimNewline: true }, API_KEY: { secretPath: '/run/secrets/api' } },
    staticOEMStrings: ['io.systemd.credential:ENVIRONMENT=production'],
  });
  parseRunFile(host.files['slicer/vms/db.json'] as string, { file: 'db.json', directory: '/' });
});

test('a VM that names neither image nor kernel gets the Debian image', NIX, async () => {
  const host = await hostWith('{ db = { }; }');
  const file = parseRunFile(host.files['slicer/vms/db.json'] as string, { file: 'db.json', directory: '/' });
  assert.deepEqual(file.boot, { kind: 'image', image: 'debian', cmdline: undefined });
});

for (const hypervisor of ['qemu', 'cloud-hypervisor', 'firecracker']) {
  test(`the service of a VM of ${hypervisor} reads its secrets as root, finds its programs and is told of the guest`, NIX, async () => {
    const host = await hostWith(`{ db = { hypervisor = "${hypervisor}"; runtimeSecrets.p.secretPath = "/run/100%/p"; credentialFiles.Q = "/run/q"; }; }`);
    const service = host.services['slicer-vm-db'];
    assert.deepEqual(service?.serviceConfig, {
      Type: 'notify', NotifyAccess: 'all', KillMode: 'mixed', ExecStart: '/opt/slicer/bin/slicer run /etc/slicer/vms/db.json',
      LoadCredential: ['Q:/run/q', 'p:/run/100%%/p'],
      RuntimeDirectory: 'slicer-db', RuntimeDirectoryMode: '0711',
      StateDirectory: 'slicer/vms/db', StateDirectoryMode: '0700', WorkingDirectory: '/var/lib/slicer/vms/db',
      UMask: '0077', TimeoutStartSec: '5min', TimeoutStopSec: '2min', Restart: 'on-failure', RestartSec: '5s',
    });
    assert.deepEqual(service?.wantedBy, ['multi-user.target']);
    assert.equal(service?.path.at(-1), hypervisor === 'qemu' ? '/pkgs/qemu_kvm' : `/pkgs/${hypervisor}`);
  });
}

test('all that is wrong with secrets is said at once, and no path is shown', NIX, async () => {
  const host = await hostWith(`{ db = {
    runtimeSecrets = { none = { }; relative.secretPath = "canary-5ae3"; store.secretPath = "\${builtins.storeDir}/canary-5ae3"; twice.secretPath = "/a"; };
    credentialFiles.twice = "/b";
  }; }`);
  assert.doesNotMatch(host.faults.join(), /canary/);
  assert.deepEqual(host.faults.map((fault) => fault.replace(/\/\S+store/, 'STORE')), [
    'services.slicer.vms.db: secret "none" has no secretPath, and nothing makes its value here',
    'services.slicer.vms.db: secret "relative": secretPath is no absolute path',
    'services.slicer.vms.db: secret "store": secretPath is in STORE, which all may read',
    'services.slicer.vms.db: "twice" is in runtimeSecrets and in credentialFiles',
  ]);
});

test('an option that there is not, or of another type, is refused by name', NIX, async () => {
  await assert.rejects(hostWith('{ db.memm = 5; }'), /services\.slicer\.vms\.db\.memm/);
  await assert.rejects(hostWith('{ db.mem = "5"; }'), /services\.slicer\.vms\.db\.mem/);
  await assert.rejects(hostWith('{ db.hypervisor = "bochs"; }'), /services\.slicer\.vms\.db\.hypervisor/);
});

test('a host that does not enable it has nothing of it', NIX, async () => {
  const host = await nix.host('[ (root + "/nix/host.nix") { services.slicer.vms.db = { }; } ]');
  assert.deepEqual([host.services, host.files], [{}, {}]);
});

test('the flake has what the folder has', NIX, async () => {
  const same = '(import (root + "/nix/flake.nix")).outputs { }';
  assert.deepEqual(await nix.evaluate(`builtins.attrNames (${same})`), await nix.evaluate('builtins.attrNames (import (root + "/nix"))'));
});
