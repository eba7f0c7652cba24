// The keys that there are, and those of public Slicer that this version has not: a wish that is dropped
// in silence (a disk, a network) would be a VM that is not what its operator thinks.
import type { Path } from './document.ts';

interface KeyTable {
  /** The place in words. */
  readonly place: string;
  readonly keys: readonly string[];
}

const TOP: KeyTable = { place: 'the top', keys: ['config'] };
const CONFIG: KeyTable = {
  place: 'config', keys: ['host_groups', 'image', 'kernel_file', 'hypervisor', 'secrets_dir', 'api', 'audit'],
};
const GROUP: KeyTable = {
  place: 'a host group',
  keys: [
    'name', 'count', 'vcpu', 'ram_gb', 'ram_mb', 'ram_bytes', 'userdata', 'userdata_file', 'image', 'hypervisor', 'machine', 'network', 'secrets',
    'tags', 'credentials',
  ],
};
const CREDENTIAL: KeyTable = { place: 'a credential', keys: ['name', 'secret', 'trimNewline', 'allowEmpty', 'allowReserved', 'deliver'] };
const API: KeyTable = { place: 'config.api', keys: ['port', 'bind_address', 'socket_group', 'auth', 'sockets', 'tokens'] };
const SOCKET: KeyTable = { place: 'a socket', keys: ['path', 'group', 'role'] };
const TOKEN: KeyTable = { place: 'a token', keys: ['name', 'token_file', 'role'] };
const AUTH: KeyTable = { place: 'config.api.auth', keys: ['enabled', 'token_file'] };
const AUDIT: KeyTable = { place: 'config.audit', keys: ['path', 'max_size', 'keep'] };
const TABLES = [TOP, CONFIG, GROUP, API, AUTH, AUDIT];

/** Keys of public Slicer's configuration, of host groups or above them. */
const UNSUPPORTED: readonly string[] = [
  'dns_servers', 'github_user', 'gpu_count', 'graceful_shutdown', 'kernel_image', 'persistent', 'ssh', 'ssh_keys', 'storage',
  'storage_size',
];

/** What to say of a key in the map at `path` that is none of its keys. */
export function describeUnknownKey(key: string, path: Path): string {
  const { place, keys } = tableOf(path);
  if (path.length === 0 && (key === 'instances' || key === 'generators')) return 'is a key of an inventory: slicer check --inventory=FILE';
  if (UNSUPPORTED.includes(key)) return 'is a key of Slicer that this version does not support';
  const home = TABLES.find((table) => table.keys.includes(key));
  if (home !== undefined) return `is a key of ${home.place}, not of ${place}`;
  const closest = closestKey(key, keys);
  if (closest !== undefined) return `is no key of ${place}; did you mean "${closest}"`;
  return `is no key of ${place}; expected one of ${keys.join(', ')}`;
}

function tableOf(path: Path): KeyTable {
  if (path.length === 0) return TOP;
  if (path[1] === 'host_groups') return path[3] === 'credentials' ? CREDENTIAL : GROUP;
  if (path[1] === 'api') return { auth: AUTH, sockets: SOCKET, tokens: TOKEN }[String(path[2])] ?? API;
  return path[1] === 'audit' ? AUDIT : CONFIG;
}

/** The one of `keys` that somebody may have meant. */
export function closestKey(key: string, keys: readonly string[]): string | undefined {
  const wanted = plain(key);
  const [closest] = keys
    .map((candidate) => ({ candidate, distance: editDistance(wanted, plain(candidate)) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.distance - b.distance);
  return closest?.candidate;
}

const plain = (key: string): string => key.toLowerCase().replace(/[-_]/g, '');

/** Levenshtein's distance: how many characters to insert, delete or replace. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}
