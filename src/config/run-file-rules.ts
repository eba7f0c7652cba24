// What the values of a run file must be to each other. Works on data that the schema may have refused, so
// that one run shows the problems of both.
import { credentialNameProblems } from '../delivery/credential.ts';
import { parseSecretName, SECRET_NAME_RULE, type SecretName } from '../secret/name.ts';
import { entriesOf, type Issue, type Path } from './document.ts';
import { ramMinBytes } from './named-files.ts';

const MIB = 1024 * 1024;

export function checkRunRules(data: unknown): Issue[] {
  const file = entriesOf(data);
  return [
    ...bootIssues(file),
    ...machineIssues(file),
    ...interfaceIssues(listOf(file['interfaces'])),
    ...volumeIssues(listOf(file['volumes'])),
    ...doubles(listOf(file['shares']), 'shares', 'tag'),
    ...secretIssues(file['runtimeSecrets']),
  ];
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const isThere = (value: unknown): boolean => value !== undefined && value !== null;

function bootIssues(file: Readonly<Record<string, unknown>>): Issue[] {
  // An empty file has one problem, which the schema names.
  if (Object.keys(file).length === 0) return [];
  if (!isThere(file['image'])) return isThere(file['kernel']) ? [] : [at([], 'expected image or kernel, got none')];
  return ['kernel', 'initrd'].filter((key) => isThere(file[key])).map((key) =>
    atKey([key], 'is for guests of one\'s own; image brings its own, so give one of both'));
}

function machineIssues(file: Readonly<Record<string, unknown>>): Issue[] {
  const { hypervisor = 'qemu' } = file;
  const { image, mem } = file;
  const least = ramMinBytes(image) / MIB;
  const ram = image === 'debian' && typeof mem === 'number' && mem >= ramMinBytes(undefined) / MIB && mem < least
    ? [at(['mem'], `expected ${least} (MiB) or more, which image: debian needs, got ${mem}`)] : [];
  const machine = isThere(file['machine']) && hypervisor !== 'qemu' ? [atKey(['machine'], `is QEMU's, and hypervisor is ${String(hypervisor)}`)] : [];
  return [...machine, ...ram];
}

function interfaceIssues(interfaces: readonly unknown[]): Issue[] {
  return [
    ...interfaces.flatMap((value, index) => {
      const { type, id } = entriesOf(value);
      return (type === 'tap' || type === 'macvtap') && id === undefined
        ? [at(['interfaces', index], `expected id, the name of the ${type} interface, got none`)] : [];
    }),
    ...doubles(interfaces, 'interfaces', 'id'),
    ...doubles(interfaces, 'interfaces', 'mac'),
  ];
}

function volumeIssues(volumes: readonly unknown[]): Issue[] {
  return [
    ...volumes.flatMap((value, index) => {
      const { autoCreate = true, readOnly = false, size, image } = entriesOf(value);
      if (image === undefined || autoCreate !== true || readOnly !== false || size !== undefined) return [];
      return [at(['volumes', index], 'expected size in MiB, for when the image is made, or autoCreate: false; got neither')];
    }),
    ...doubles(volumes, 'volumes', 'image'),
  ];
}

/** Those that the schema refuses are left out. */
function secretIssues(secrets: unknown): Issue[] {
  const entries = Object.entries(entriesOf(secrets));
  // The name is not shown: somebody may have put a value in its place.
  const unnamed = entries.filter(([name]) => parseSecretName(name) === undefined)
    .map(([name]) => atKey(['runtimeSecrets', name], `expected the name of a secret: ${SECRET_NAME_RULE}`));
  const wishes = entries.flatMap(([name, value]) => {
    const { oemCredentialName = name, allowReserved } = entriesOf(value);
    return parseSecretName(name) === undefined || typeof oemCredentialName !== 'string' ? []
      : [{ name: oemCredentialName, secret: name as SecretName, allowReserved: allowReserved === true }];
  });
  return [
    ...unnamed,
    ...credentialNameProblems(wishes).map(({ index, message, hint }) =>
      at(['runtimeSecrets', wishes[index]?.secret as string, 'oemCredentialName'], hint === undefined ? message : `${message}; ${hint}`)),
  ];
}

/** What two of a list may not both have. */
function doubles(values: readonly unknown[], list: string, key: string): Issue[] {
  const found = values.map((value) => entriesOf(value)[key]);
  return found.flatMap((value, index) => {
    const first = found.indexOf(value);
    return typeof value !== 'string' || first === index ? [] : [at([list, index, key], `expected one of its own, got that of ${list}[${first}]`)];
  });
}

const at = (path: Path, message: string): Issue => ({ path, at: 'value', message });
const atKey = (path: Path, message: string): Issue => ({ path, at: 'key', message });
