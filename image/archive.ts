// Debian packages of any release, on a Debian of another: a private apt, which has its own sources, lists
// and state, and changes nothing of the machine's. Trusted is what Debian's archive keyring signed; the
// mirror, which is the machine's own, is not.
import { existsSync, rmSync } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fail } from '../src/errors/slicer-error.ts';
import { temporaryDirectory } from './cache.ts';
import { run } from './command.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const INDEX_VALID_SECONDS = 90 * 24 * 3600;

/** The guest's architecture, in Debian's word; the host's comes from dpkg. */
export const GUEST_ARCH = 'amd64';

export interface Archive {
  /** Where it is, without a password. */
  readonly address: string;
  /** Downloads the newest version of a package into a directory; its path there. */
  fetchPackage(name: string, directory: string): Promise<string>;
  /**
   * Downloads what makes a system of these packages: them, Debian's essential ones, and what all of them depend
   * on. Their files are then in the directory. `say` is told how much it is, and how far it came.
   */
  fetchSystem(names: readonly string[], directory: string, say: (line: string) => void): Promise<void>;
  /** What a package depends on, by name and without alternatives. */
  dependencies(name: string): Promise<readonly string[]>;
  /** Downloads a source package's upstream tarball into a directory; refuses one that has another SHA-256. */
  fetchSource(name: string, sha256: string, directory: string): Promise<string>;
}

const opened = new Map<string, Promise<Archive>>();

/**
 * The archive of a Debian release. Its lists are fetched (about 7 s) once in a process, so ask only for
 * what no cache has. Throws missing_part where apt or a mirror is missing, build_failed where the network is.
 */
export function openArchive(suite: string, arch: string): Promise<Archive> {
  const key = `${suite} ${arch}`;
  let archive = opened.get(key);
  if (archive === undefined) {
    archive = open(suite, arch);
    opened.set(key, archive);
  }
  return archive;
}

/** The architecture of this machine, in Debian's word. */
export const hostArch = async (): Promise<string> => (await run('dpkg', ['--print-architecture'])).trim();

/** Unpacks a package's files below a directory. */
export const unpackPackage = async (file: string, directory: string): Promise<void> => {
  await run('dpkg-deb', ['-x', file, directory]);
};

async function open(suite: string, arch: string): Promise<Archive> {
  if (!existsSync(KEYRING)) {
    throw fail('missing_part', `${KEYRING} is missing, so packages can't be checked`, 'apt-get install debian-archive-keyring');
  }
  const mirror = await machineMirror();
  const root = await temporaryDirectory('apt');
  process.once('exit', () => rmSync(root, { recursive: true, force: true }));
  await Promise.all(['lists/partial', 'cache/archives/partial', 'state'].map((path) => mkdir(join(root, path), { recursive: true })));
  await writeFile(join(root, 'status'), '');
  await writeFile(
    join(root, 'sources.list'),
    ['deb', 'deb-src'].map((type) => `${type} [signed-by=${KEYRING}] ${mirror} ${suite} main\n`).join(''),
  );
  const settings = {
    'Dir::Etc::sourcelist': join(root, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State': join(root, 'state'),
    'Dir::State::lists': join(root, 'lists'),
    'Dir::State::status': join(root, 'status'),
    'Dir::Cache': join(root, 'cache'),
    'Acquire::Languages': 'none',
    // Mirrors of mirrors lag behind: an index counts for this long, and not for ever.
    'Acquire::Min-ValidTime': String(INDEX_VALID_SECONDS),
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'Acquire::Retries': '3',
    'APT::Sandbox::User': 'root',
    'APT::Architecture': arch,
    'APT::Architectures': arch,
    // Without it a mirror that can't be reached is a warning, and later every package is unknown.
    'APT::Update::Error-Mode': 'any',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const apt = (command: string, args: readonly string[], cwd = root): Promise<string> =>
    run(command, ['-qq', ...options, ...args], { cwd });
  await apt('apt-get', ['update']);

  return {
    address: withoutUser(mirror),
    fetchPackage: async (name, directory) => {
      await apt('apt-get', ['download', name], directory);
      return onlyFile(directory, (file) => file.startsWith(`${name}_`) && file.endsWith('.deb'), name);
    },
    fetchSystem: async (names, directory, say) => {
      // apt keeps what it has not whole yet in there.
      await mkdir(join(directory, 'partial'));
      const install = ['-y', '--no-install-recommends', '-o', `Dir::Cache::archives=${directory}`, 'install'];
      const wanted = ['?essential', ...names];
      const uris = (await apt('apt-get', [...install, '--print-uris', ...wanted])).trim().split('\n');
      const bytes = uris.reduce((sum, line) => sum + Number(line.split(' ')[2]), 0);
      const total = `${uris.length} packages, ${Math.round(bytes / 1e6)} MB`;
      say(`fetching ${total}`);
      const onLine = (line: string): void => {
        const [, count] = /^Get:(\d+) /.exec(line) ?? [];
        if (count !== undefined) say(`fetching ${total}: at ${count} of ${uris.length}`);
      };
      // Unlike -qq, -q says what it fetches.
      await run('apt-get', ['-q', ...options, ...install, '--download-only', ...wanted], { cwd: root, onLine });
      await rm(join(directory, 'partial'), { recursive: true });
    },
    dependencies: async (name) => {
      const text = await apt('apt-cache', ['depends', '--important', name]);
      return [...text.matchAll(/^\s+(?:Pre)?Depends: (\S+)$/gm)].map((match) => match[1] as string);
    },
    fetchSource: async (name, sha256, directory) => {
      const staging = join(root, `source-${name}`);
      await mkdir(staging, { recursive: true });
      await apt('apt-get', ['source', '--download-only', '--tar-only', name], staging);
      const file = await onlyFile(staging, (entry) => /\.orig\.tar\.\w+$/.test(entry), name);
      const actual = createHash('sha256').update(await readFile(file)).digest('hex');
      if (actual !== sha256) {
        throw fail('build_failed', `the source of ${name} in ${suite} has SHA-256 ${actual}, not ${sha256}`);
      }
      const target = join(directory, `${name}.orig.tar`);
      await copyFile(file, target);
      return target;
    },
  };
}

/**
 * Where this machine gets its own Debian packages from. apt itself reads its sources, in all their forms,
 * also before the first `apt-get update`.
 */
export async function machineMirror(aptOptions: readonly string[] = []): Promise<string> {
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile('/etc/os-release', 'utf8').catch(() => ''))?.[1];
  const format = ['indextargets', '--no-release-info', '--format', '$(RELEASE) $(REPO_URI) $(COMPONENT)', 'Created-By: Packages'];
  const targets = await run('apt-get', [...aptOptions, ...format]);
  const suites = [codename, 'stable', 'oldstable', 'testing', 'sid', 'unstable'];
  for (const suite of suites) {
    for (const line of targets.split('\n')) {
      const [release, uri, component] = line.split(' ');
      if (suite !== undefined && release === suite && uri !== undefined && component === 'main') return uri;
    }
  }
  throw fail('missing_part', `no apt source of this machine has Debian ${codename ?? ''} main`, 'see /etc/apt/sources.list.d');
}

function withoutUser(address: string): string {
  const url = new URL(address);
  url.username = '';
  url.password = '';
  return url.href;
}

async function onlyFile(directory: string, matches: (file: string) => boolean, name: string): Promise<string> {
  const file = (await readdir(directory)).find(matches);
  if (file === undefined) throw fail('build_failed', `apt fetched no file of ${name}`);
  return join(directory, file);
}
