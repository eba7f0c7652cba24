// A new value in a guest, by Slicer's command and by what one would use otherwise: ssh and rsync, each alone and
// with a connection that is kept (ControlMaster). All go to the same guest over its VSOCK device.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { GUEST_ARCH, openArchive, unpackPackage } from '../image/archive.ts';
import { DEBIAN_SUITE } from '../image/debian-disk.ts';
import { ensureMachine } from '../image/machine.ts';
import type { Figure } from './figure.ts';
import { Lab } from './lab.ts';
import { summarise } from './statistics.ts';

const ROUNDS = 15;
const PORT = 22;
const TRIES_MAX = 20;
const SECRET = 'pushed';
const SECRET_BYTES = 1024;

/** Of Debian: the server, rsync, and what of their libraries the guest's own packages do not bring. */
const PACKAGES = [
  'openssh-server', 'rsync', 'libcom-err2', 'libgssapi-krb5-2', 'libk5crypto3', 'libkeyutils1', 'libkrb5-3', 'libkrb5support0',
  'libpopt0', 'libwrap0', 'libwtmpdb0', 'libsqlite3-0', 'libnsl2', 'libtirpc3t64',
];

const SSHD_CONFIG = `HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PrintMotd no
`;

export async function pushFigures(): Promise<Figure[]> {
  await ensureMachine(['bench'], console.log);
  const lab = new Lab();
  const files = mkdtempSync(join(tmpdir(), 'slicer-bench-push-'));
  try {
    await lab.serve(['    - {name: debian, count: 0, vcpu: 1, ram_mb: 512, secrets: all, image: debian}']);
    lab.slicer(['secret', 'create', SECRET, '--no-wait'], randomBytes(SECRET_BYTES));
    const vm = (JSON.parse(lab.slicer(['vm', 'launch', 'debian', '--wait', '--timeout=240s', '--json'])) as { hostname: string }).hostname;
    await installSshd(lab, vm, files);
    const ways = waysOf(lab, vm, files);
    await ways.untilAnswered();
    return figuresOf(ways, files);
  } finally {
    await lab.stop();
    rmSync(files, { recursive: true });
  }
}

async function installSshd(lab: Lab, vm: string, files: string): Promise<void> {
  const system = join(files, 'system');
  const packages = join(files, 'packages');
  for (const directory of ['etc/ssh', 'usr/local/sbin', 'run/sshd', 'run/pushed']) mkdirSync(join(system, directory), { recursive: true });
  mkdirSync(packages);
  const archive = await openArchive(DEBIAN_SUITE, GUEST_ARCH);
  for (const name of PACKAGES) await unpackPackage(await archive.fetchPackage(name, packages), system);
  execFileSync('gcc', ['-O2', '-static', '-o', join(files, 'vsock-door'), resolve(import.meta.dirname, 'vsock-door.c')]);
  copyFileSync(join(files, 'vsock-door'), join(system, 'usr/local/sbin/vsock-door'));
  for (const [type, path] of [['host', join(system, 'etc/ssh/host_key')], ['client', join(files, 'key')]] as const) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', type, '-f', path]);
  }
  copyFileSync(join(files, 'key.pub'), join(system, 'etc/ssh/authorized_keys'));
  writeFileSync(join(system, 'etc/ssh/sshd_config'), SSHD_CONFIG);
  chmodSync(join(files, 'vsock-door'), 0o755);
  const tar = execFileSync('tar', ['-C', system, '--owner=0', '--group=0', '-c', '.'], { maxBuffer: 256 * 2 ** 20 });
  lab.slicer(['vm', 'exec', vm, '--', 'tar', '-x', '--no-overwrite-dir', '--keep-directory-symlink', '-C', '/'], tar);
  lab.slicer(['vm', 'exec', vm, '--shell', '--', [
    'echo sshd:x:110:65534::/run/sshd:/usr/sbin/nologin >> /etc/passwd',
    'chmod 700 /run/pushed; chmod 600 /etc/ssh/host_key; chmod 755 /run/sshd; ldconfig; /usr/sbin/sshd -t',
    `systemd-run --quiet --unit=vsock-door vsock-door listen ${PORT} /usr/sbin/sshd -i`,
  ].join(' && ')]);
}

interface Way {
  readonly name: string;
  readonly push: (value: string) => void;
}

interface Ways {
  readonly ours: Way;
  readonly others: readonly Way[];
  /** Resolves when the guest's server answers. */
  readonly untilAnswered: () => Promise<void>;
}

function waysOf(lab: Lab, vm: string, files: string): Ways {
  const door = `${join(files, 'vsock-door')} dial ${lab.vsockPath(vm)} ${PORT}`;
  const options = (kept: boolean): string[] => [
    '-F', '/dev/null', '-i', join(files, 'key'), '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'LogLevel=ERROR',
    '-o', `UserKnownHostsFile=${join(files, 'known_hosts')}`, '-o', `ProxyCommand=${door}`,
    ...(kept ? ['-o', 'ControlMaster=auto', '-o', `ControlPath=${join(files, 'kept')}`, '-o', 'ControlPersist=600'] : []),
  ];
  const ssh = (kept: boolean) => (value: string): void => {
    const into = `umask 077; cat > /run/pushed/.new && mv /run/pushed/.new /run/pushed/${SECRET}`;
    run('ssh', [...options(kept), 'root@guest', into], readFileSync(value));
  };
  const rsync = (kept: boolean) => (value: string): void => {
    const shell = ['ssh', ...options(kept)].map((word) => (word.includes(' ') ? `"${word}"` : word)).join(' ');
    run('rsync', ['--perms', '-e', shell, value, `root@guest:/run/pushed/${SECRET}`]);
  };
  return {
    ours: { name: 'slicer secret update, with its wait', push: (value) => void lab.slicer(['secret', 'update', SECRET], readFileSync(value)) },
    others: [
      { name: 'ssh', push: ssh(false) },
      { name: 'ssh with a kept connection', push: ssh(true) },
      { name: 'rsync', push: rsync(false) },
      { name: 'rsync with a kept connection', push: rsync(true) },
    ],
    async untilAnswered() {
      for (let tries = 1; spawnSync('ssh', [...options(false), 'root@guest', 'true'], { stdio: 'ignore' }).status !== 0; tries += 1) {
        if (tries === TRIES_MAX) throw new Error(`sshd in the guest does not answer:\n${lab.slicer(['vm', 'exec', vm, '--', 'sh', '-c', 'systemctl status vsock-door; journalctl -n 20; true'])}`);
        await new Promise((wake) => setTimeout(wake, 1000));
      }
    },
  };
}

function run(program: string, args: readonly string[], input: Uint8Array = new Uint8Array()): void {
  // What a kept connection goes on with has no pipe to hold open.
  const { status } = spawnSync(program, args, { input, stdio: ['pipe', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${program} ended with ${status}`);
}

/** All in turns, each with a value of its own. */
function figuresOf({ ours, others }: Ways, files: string): Figure[] {
  const took = new Map<Way, number[]>([ours, ...others].map((way) => [way, []]));
  const value = join(files, 'value');
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [way, samples] of took) {
      writeFileSync(value, randomBytes(SECRET_BYTES), { mode: 0o600 });
      const begin = performance.now();
      way.push(value);
      // The first of each makes the connection that is kept.
      if (round >= 0) samples.push(performance.now() - begin);
    }
  }
  const measured = summarise(took.get(ours) as number[]);
  return others.map((way) => ({
    name: `a value of 1 KiB pushed into a guest: ${ours.name}; against ${way.name}`, unit: 'ms', by: 'p50',
    measured, reference: summarise(took.get(way) as number[]),
  }));
}
