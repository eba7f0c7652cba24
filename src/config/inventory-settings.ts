// The settings of one machine: the keys of a file for `slicer run`, with defaults for all, secrets that are
// generated, and microvm.nix's `credentialFiles`. They become such a file, which is checked as any other is.
import type { SecretName } from '../secret/name.ts';
import { entriesOf, type Entries, type Issue, type Path } from './document.ts';
import type { Generator } from './generators.ts';
import { closestKey } from './keys.ts';
import { issuesOf } from './problems.ts';
import { checkRunRules } from './run-file-rules.ts';
import { describeKey, describeUnknownRunKey, RUN_KEYS, RUN_SECRET_KEYS, runFileSchema, type KeyTable, type RawRunFile } from './run-file-schema.ts';
import { writtenSource } from './secret-source.ts';
import { instanceGenerator, SHARED, varPath, type VarName } from './var-path.ts';

export interface SettingsPlace {
  readonly instance: string;
  readonly machine: string;
  /** The VM's name where the settings give none. */
  readonly vmName: string;
  readonly varsDir: string;
  /** Those beside the instances, by their names; undefined for one that is not right. */
  readonly generators: ReadonlyMap<string, Generator | undefined>;
}

export interface ReadSettings {
  /** Paths start at the settings. */
  readonly issues: readonly Issue[];
  /** Undefined when there are issues. */
  readonly raw: RawRunFile | undefined;
  /** Secrets whose value `slicer vars` makes, or the generator of which is declared beside the instances. */
  readonly values: readonly { readonly secret: SecretName; readonly value: VarName; readonly isPublic: boolean }[];
}

const SECRET_KEYS: KeyTable = { ...RUN_SECRET_KEYS, keys: [...RUN_SECRET_KEYS.keys, 'generateSecret', 'var'], elsewhere: {} };
const SETTINGS_KEYS: KeyTable = { ...RUN_KEYS, place: 'settings', keys: [...RUN_KEYS.keys, 'credentialFiles'] };

export function readSettings(settings: unknown, place: SettingsPlace): ReadSettings {
  if (settings !== undefined && settings !== null && (typeof settings !== 'object' || Array.isArray(settings))) {
    return { issues: [at([], 'expected a map with the keys of a file for `slicer run`')], raw: undefined, values: [] };
  }
  const { credentialFiles, runtimeSecrets, ...rest } = entriesOf(settings);
  const declared = secretsOf(runtimeSecrets, place);
  const files = credentialsOf(credentialFiles, declared.secrets);
  const secrets = { ...declared.secrets, ...files.secrets };
  const file = {
    name: place.vmName,
    ...(['image', 'kernel', 'initrd'].some((key) => isThere(rest[key])) ? {} : { image: 'debian' }),
    ...Object.fromEntries(Object.entries(rest).filter(([key, value]) => value !== null || !['name', 'image'].includes(key))),
    // What is no map is for the schema to refuse.
    runtimeSecrets: isMap(runtimeSecrets) ? secrets : runtimeSecrets,
  };
  const parsed = runFileSchema.safeParse(file);
  const issues = [
    ...declared.issues, ...files.issues,
    ...[
      ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue, describeUnknown))),
      ...checkRunRules(file),
      ...storeIssues(secrets),
    ].map((issue) => (issue.path[0] === 'runtimeSecrets' && Object.hasOwn(files.secrets, String(issue.path[1]))
      ? { ...issue, path: ['credentialFiles', ...issue.path.slice(1, 2)] } : issue)),
  ];
  return { issues, raw: issues.length === 0 ? parsed.data : undefined, values: declared.values };
}

function describeUnknown(key: string, path: Path): string {
  if (path.length === 0) return describeKey(key, SETTINGS_KEYS);
  return path[0] === 'runtimeSecrets' ? describeKey(key, SECRET_KEYS) : describeUnknownRunKey(key, path);
}

interface DeclaredSecrets extends Pick<ReadSettings, 'issues' | 'values'> {
  /** As a run file has them. */
  readonly secrets: Entries;
}

function secretsOf(runtimeSecrets: unknown, place: SettingsPlace): DeclaredSecrets {
  const issues: Issue[] = [];
  const values: { secret: SecretName; value: VarName; isPublic: boolean }[] = [];
  const secrets = Object.fromEntries(Object.entries(entriesOf(runtimeSecrets)).map(([name, written]) => {
    if (!isMap(written)) return [name, written];
    const { generateSecret, var: named, ...secret } = entriesOf(written);
    const source = sourceOf(name, entriesOf(written), place);
    if ('issue' in source) issues.push({ ...source.issue, path: ['runtimeSecrets', name, ...source.issue.path] });
    if (!('value' in source)) return [name, secret];
    values.push({ secret: name as SecretName, ...source });
    return [name, { ...secret, secretPath: varPath(place.varsDir, source.value) }];
  }));
  return { secrets, values, issues };
}

interface FoundVar {
  readonly value: VarName;
  readonly isPublic: boolean;
}

/** What a secret's value in vars/ is called; nothing for one that is elsewhere. */
function sourceOf(name: string, written: Entries, { instance, machine, generators }: SettingsPlace): FoundVar | { issue: Issue } | Record<never, never> {
  const source = writtenSource(written);
  switch (source.kind) {
    case 'wrong': return { issue: source.issue };
    case 'path': case 'unit': return {};
    case 'var': return varOf(source.generator, source.file, machine, generators);
    case 'made': {
      const generator = instanceGenerator(instance);
      return generators.has(generator) ? varOf(generator, name, machine, generators, 'generateSecret') : { value: { machine, generator, file: name }, isPublic: false };
    }
  }
}

/** A file of a generator that is declared. `key`: what asks for it. */
function varOf(generator: string, file: string, machine: string, generators: SettingsPlace['generators'], key = 'var'): FoundVar | { issue: Issue } {
  if (!generators.has(generator)) {
    const meant = closestKey(generator, [...generators.keys()]);
    return { issue: at([key], `expected a generator that the inventory has under generators${meant === undefined ? '' : `; did you mean "${meant}"`}`) };
  }
  const declared = generators.get(generator);
  const files = declared?.files.map(({ name }) => name) ?? [file];
  if (!files.includes(file)) return { issue: at([key], `expected a file of generator "${generator}": ${files.join(', ')}`) };
  const isPublic = declared?.files.some(({ name, secret }) => name === file && !secret) ?? false;
  return { value: { machine: declared?.share === true ? SHARED : machine, generator, file }, isPublic };
}

/** microvm.nix's: paths by the names of credentials. */
function credentialsOf(credentialFiles: unknown, declared: Entries): Omit<DeclaredSecrets, 'values'> {
  if (!isMap(credentialFiles)) return { secrets: {}, issues: [at(['credentialFiles'], 'expected a map of paths by the names of credentials')] };
  const entries = Object.entries(entriesOf(credentialFiles));
  const doubles = entries.filter(([name]) => Object.hasOwn(declared, name));
  return {
    secrets: Object.fromEntries(entries.filter(([name]) => !Object.hasOwn(declared, name)).map(([name, secretPath]) => [name, { secretPath: secretPath ?? '' }])),
    issues: doubles.map(([name]) => atKey(['credentialFiles', name], 'expected a name of its own, got that of a secret in runtimeSecrets')),
  };
}

/** What Nix copies there is open to all on the machine. */
const storeIssues = (secrets: Entries): Issue[] => Object.entries(secrets)
  .filter(([, value]) => String(entriesOf(value)['secretPath']).startsWith('/nix/store/'))
  .map(([name]) => at(['runtimeSecrets', name, 'secretPath'], 'expected a path outside the Nix store, which everybody may read; in Nix, put the path in quotes'));

const isThere = (value: unknown): boolean => value !== undefined && value !== null;
/** Nothing is an empty one. */
const isMap = (value: unknown): boolean => !isThere(value) || (typeof value === 'object' && !Array.isArray(value));
const at = (path: Path, message: string): Issue => ({ path, at: 'value', message });
const atKey = (path: Path, message: string): Issue => ({ path, at: 'key', message });
