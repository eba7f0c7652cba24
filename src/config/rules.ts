// What the values of a configuration must be to each other. Works on data that the schema may have
// refused, so that one run shows the problems of both.
import { credentialNameProblems } from '../delivery/credential.ts';
import { parseSecretName } from '../secret/name.ts';
import { apiIssues } from './api-rules.ts';
import { entriesOf, type Entries, type Issue, type Path } from './document.ts';
import { isImageName, ramMinBytes } from './named-files.ts';

const RAM_KEYS = ['ram_gb', 'ram_mb', 'ram_bytes'] as const;
const RAM_UNITS = { ram_gb: 1024 ** 3, ram_mb: 1024 ** 2, ram_bytes: 1 } as const;

export function checkRules(data: unknown, directory: string): Issue[] {
  const config = entriesOf(entriesOf(data)['config']);
  const groups: readonly unknown[] = Array.isArray(config['host_groups']) ? config['host_groups'] : [];
  return [
    ...groups.flatMap((group, index) => groupIssues(entriesOf(group), config, ['config', 'host_groups', index])),
    ...nameIssues(groups),
    ...kernelIssues(config, groups),
    ...apiIssues(entriesOf(config['api']), groups, directory),
  ];
}

function groupIssues(group: Entries, config: Entries, path: Path): Issue[] {
  if (Object.keys(group).length === 0) return [];
  const ram = RAM_KEYS.filter((key) => key in group);
  const issues = ram.slice(1).map((key) => atKey([...path, key], `expected one of ${RAM_KEYS.join(', ')}, got ${ram[0]} too`));
  if (ram.length === 0) issues.push(at(path, `expected one of ${RAM_KEYS.join(', ')}, got none`));
  if ('userdata' in group && 'userdata_file' in group) {
    issues.push(atKey([...path, 'userdata_file'], 'expected one of userdata, userdata_file, got userdata too'));
  }
  return [
    ...issues,
    ...ramIssues(group, group['image'] ?? config['image'], path),
    ...vmmIssues(group, group['hypervisor'] ?? config['hypervisor'], path),
    ...credentialIssues(group['credentials'], path),
  ];
}

/** What the schema allows, since another image takes it. */
function ramIssues(group: Entries, image: unknown, path: Path): Issue[] {
  if (image !== 'debian') return [];
  const least = ramMinBytes(image);
  return RAM_KEYS.flatMap((key) => {
    const value = group[key];
    return typeof value === 'number' && value * RAM_UNITS[key] >= ramMinBytes(undefined) && value * RAM_UNITS[key] < least
      ? [at([...path, key], `expected ${least / RAM_UNITS.ram_mb} MiB or more, which image: debian needs, got ${value * RAM_UNITS[key] / RAM_UNITS.ram_mb} MiB`)] : [];
  });
}

/** What goes with QEMU alone. */
function vmmIssues(group: Entries, hypervisor: unknown, path: Path): Issue[] {
  if (hypervisor !== 'cloud-hypervisor' && hypervisor !== 'firecracker') return [];
  return [
    ...('machine' in group ? [atKey([...path, 'machine'], `is QEMU's, and hypervisor is ${hypervisor}; leave it out`)] : []),
    ...(group['network'] === 'user'
      ? [at([...path, 'network'], `user is QEMU's own network stack, and hypervisor is ${hypervisor}; say none, or hypervisor: qemu`)]
      : []),
  ];
}

/** Those that the schema refuses are left out. */
function credentialIssues(credentials: unknown, path: Path): Issue[] {
  const wellFormed = (Array.isArray(credentials) ? credentials : []).flatMap((credential: unknown, position) => {
    const { name, secret, allowReserved } = entriesOf(credential);
    const source = typeof secret === 'string' ? parseSecretName(secret) : undefined;
    return typeof name !== 'string' || source === undefined ? [] : [{ position, name, secret: source, allowReserved: allowReserved === true }];
  });
  return credentialNameProblems(wellFormed).map(({ index, message, hint }) =>
    at([...path, 'credentials', wellFormed[index]?.position as number, 'name'], hint === undefined ? message : `${message}; ${hint}`));
}

function nameIssues(groups: readonly unknown[]): Issue[] {
  const names = groups.map((group) => entriesOf(group)['name']);
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    if (typeof name !== 'string' || first === index) return [];
    return [at(['config', 'host_groups', index, 'name'], `expected a name of its own, got that of config.host_groups[${first}]`)];
  });
}

function kernelIssues(config: Entries, groups: readonly unknown[]): Issue[] {
  const allMade = groups.every((group) => isImageName(entriesOf(group)['image'] ?? config['image'] ?? 'tiny'));
  if (!('kernel_file' in config) || groups.length === 0 || !allMade) return [];
  return [atKey(['config', 'kernel_file'], 'is for images of one\'s own; every host group has one of Slicer\'s, which has a kernel')];
}

const at = (path: Path, message: string): Issue => ({ path, at: 'value', message });
const atKey = (path: Path, message: string): Issue => ({ path, at: 'key', message });
