// What this machine lacks of what Slicer needs, and how it gets it: from the machine's own apt, as packages
// that a user would install too. Nothing is installed that is there in some other way.
import { existsSync } from 'node:fs';
import { fail } from '../src/errors/slicer-error.ts';
import { findCommand, run } from './command.ts';
import { AGENT_ARCHS, type AgentArch, compilerPackages, findCompiler, HOST_ARCH } from './compiler.ts';

/** What the part is needed for: to run VMs, to build agents and the tiny image, to build the Debian image, for the tests, or for benchmarks. */
export type Purpose = 'run' | 'build' | 'debian' | 'test' | 'bench';

interface Part {
  readonly purposes: readonly Purpose[];
  readonly packages: readonly string[];
  /** Completes "it …". */
  readonly why: string;
  readonly isThere: () => boolean | Promise<boolean>;
}

const command = (...names: string[]) => () => names.some((name) => findCommand(name) !== undefined);
const compiler = (arch: AgentArch) => () => findCompiler(arch).then(() => true, () => false);

const PARTS: readonly Part[] = [
  { purposes: ['run'], packages: ['qemu-system-x86'], why: 'runs the VMs', isThere: command('qemu-system-x86_64') },
  {
    purposes: ['build', 'debian'],
    packages: ['debian-archive-keyring'],
    why: 'checks the packages that the guest image is made of',
    // An older keyring package lacks the keys of the release that the image comes from.
    isThere: () => existsSync('/usr/share/keyrings/debian-archive-trixie-automatic.gpg'),
  },
  { purposes: ['build', 'debian'], packages: ['xz-utils'], why: 'unpacks sources and kernel modules', isThere: command('xz') },
  ...AGENT_ARCHS.map((arch): Part => ({
    purposes: ['build'],
    packages: compilerPackages(arch),
    why: `compiles the agent for ${arch}`,
    isThere: compiler(arch),
  })),
  { purposes: ['debian', 'test'], packages: ['e2fsprogs'], why: 'makes the file systems of disks', isThere: command('mke2fs') },
  { purposes: ['debian'], packages: ['util-linux'], why: 'runs the scripts of its packages apart from this machine', isThere: command('unshare') },
  { purposes: ['test'], packages: ['strace'], why: 'injects faults into system calls', isThere: command('strace') },
  { purposes: ['bench'], packages: ['openssh-client', 'rsync'], why: 'is what a push is compared with', isThere: () => ['ssh', 'rsync'].every((name) => findCommand(name) !== undefined) },
  { purposes: ['test'], packages: ['nix-bin'], why: 'evaluates the NixOS modules', isThere: command('nix-instantiate') },
  {
    purposes: ['test'],
    packages: ['qemu-user'],
    why: 'runs the agent for aarch64',
    isThere: () => HOST_ARCH === 'aarch64' || command('qemu-aarch64', 'qemu-aarch64-static')(),
  },
];

/** Parts for these purposes that this machine lacks. */
export async function missingParts(purposes: readonly Purpose[], parts: readonly Part[] = PARTS): Promise<readonly Part[]> {
  const wanted = parts.filter((part) => part.purposes.some((purpose) => purposes.includes(purpose)));
  const there = await Promise.all(wanted.map((part) => part.isThere()));
  return wanted.filter((_, index) => there[index] === false);
}

/**
 * Installs what this machine lacks for these purposes. `say` gets one line with all of it before anything
 * happens, then what apt does. Throws missing_part where Slicer can't install it, with the command that does.
 */
export async function ensureMachine(purposes: readonly Purpose[], say: (line: string) => void): Promise<void> {
  const missing = await missingParts(purposes);
  if (missing.length === 0) return;
  const packages = missing.flatMap((part) => part.packages);
  const hint = `sudo apt-get install --no-install-recommends ${packages.join(' ')}`;
  if (findCommand('apt-get') === undefined) {
    throw fail('missing_part', `this machine lacks ${packages.join(', ')}, and has no apt-get to install them with`, 'use Debian 12 or 13');
  }
  if (process.geteuid?.() !== 0) throw fail('missing_part', `this machine lacks ${packages.join(', ')}; only root can install them`, hint);
  say(`installing ${missing.map((part) => `${part.packages.join(' and ')} (${part.why})`).join(', ')}`);
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  // Somebody else's apt, such as the one of a machine's first boot, ends sooner or later.
  const wait = ['-o', 'DPkg::Lock::Timeout=300'];
  const onLine = (line: string) => {
    if (/^(Fetched|Unpacking|Setting up) /.test(line)) say(line.replace(/ \(.*/, ''));
  };
  say('reading the package lists');
  await run('apt-get', [...wait, 'update'], { environment });
  await run('apt-get', [...wait, 'install', '-y', '--no-install-recommends', ...packages], { environment, onLine });
  const still = await missingParts(purposes);
  if (still.length > 0) {
    const names = still.flatMap((part) => part.packages).join(', ');
    throw fail('missing_part', `${names}: apt-get installed it, and what it is for is still not there`, hint);
  }
}
