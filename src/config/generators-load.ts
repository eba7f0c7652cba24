// Reads of an inventory what `slicer vars` needs: its generators, its machines, and the secrets of
// instances that are to be made. Guarantees: what it returns needs no further check, and when it refuses, it
// names every problem at once, each with its place. What else an inventory has (what a VM
// is made of) is not looked at here.
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import { SECRET_NAME_RULE } from '../secret/name.ts';
import { entriesOf, type Entries, type Issue, type Path } from './document.ts';
import { DEFAULT_PASSWORD_LENGTH, DEFAULT_RANDOM, FIXED_FILES, type Generator, type GeneratorFile, type Recipe, type VarsInventory } from './generators.ts';
import { checkGeneratorRules, dependenciesOf, kindOf } from './generators-rules.ts';
import { describeUnknownGeneratorKey, generatorsSchema, isGeneratorName, type RawGenerator } from './generators-schema.ts';
import { loadInventoryDocument, parseInventoryDocument } from './inventory-document.ts';
import { issuesOf } from './problems.ts';
import { writtenSource } from './secret-source.ts';
import { instanceGenerator } from './var-path.ts';

const DEFAULT_LIFETIME_DAYS = 365;
const DEFAULT_CA_LIFETIME_DAYS = 3650;
const DEFAULT_TIMEOUT_SECONDS = 60;

/** `env` is for Nix. Throws what `loadInventoryDocument` does, and invalid_config. */
export async function loadVarsInventory(file: string, env: Readonly<Record<string, string | undefined>>, directory: string = process.cwd()): Promise<VarsInventory> {
  const { data, problems } = await loadInventoryDocument({ file, directory }, env);
  return readVarsInventory(data, problems);
}

/** YAML or JSON; `file` is how problems name it. Throws invalid_config. */
export function parseVarsInventory(text: string, file: string): VarsInventory {
  const { data, problems } = parseInventoryDocument(text, file);
  return readVarsInventory(data, problems);
}

/** The inventory as data, whatever it was written in; `problems` says where each issue is. Throws invalid_config. */
export function readVarsInventory(data: unknown, problems: (issues: readonly Issue[]) => Problem[]): VarsInventory {
  const { generators, issues } = readGenerators(data);
  const instances = entriesOf(entriesOf(data)['instances']);
  throwIfAny(problems([...issues, ...instanceIssues(instances)]));
  return resolveInventory(generators, instances);
}

/** What stands under `generators` of an inventory; none where there are issues. */
export function readGenerators(data: unknown): { readonly generators: readonly Generator[]; readonly issues: readonly Issue[] } {
  const parsed = generatorsSchema.safeParse(data);
  const issues = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue, describeUnknownGeneratorKey))),
    ...checkGeneratorRules(entriesOf(entriesOf(data)['generators'])),
  ];
  const raw = parsed.success && issues.length === 0 ? parsed.data.generators ?? {} : {};
  return { generators: Object.entries(raw).map(([name, generator]) => generatorOf(name, generator)), issues };
}

function resolveInventory(declared: readonly Generator[], instances: Entries): VarsInventory {
  const own = declared.filter(({ share }) => !share);
  const machines = new Map<string, Map<string, Generator>>();
  for (const { instance, machine, generated } of placements(instances)) {
    const generators = machines.get(machine) ?? new Map(own.map((generator) => [generator.name, generator]));
    machines.set(machine, generators);
    const name = instanceGenerator(instance);
    if (generated.length === 0 || declared.some((generator) => generator.name === name)) continue;
    const names = new Set([...(generators.get(name)?.files ?? []).map((file) => file.name), ...generated.map(({ secret }) => secret)]);
    const files = [...names].map((file): GeneratorFile => ({ name: file, secret: true }));
    generators.set(name, { name, share: false, dependencies: [], files, prompts: [], recipe: DEFAULT_RANDOM });
  }
  return {
    shared: declared.filter(({ share }) => share),
    machines: [...machines].map(([name, generators]) => ({ name, generators: [...generators.values()] })),
  };
}

/** An instance on a machine, and those of its secrets that are to be made. */
interface Placement {
  readonly instance: string;
  readonly machine: string;
  readonly path: Path;
  readonly generated: readonly { readonly secret: string; readonly path: Path }[];
  /** Secrets that do not say which of several sources is meant. */
  readonly issues: readonly Issue[];
}

function placements(instances: Entries): Placement[] {
  return Object.entries(instances).flatMap(([instance, value]) =>
    Object.entries(entriesOf(entriesOf(value)['roles'])).flatMap(([role, options]) =>
      Object.entries(entriesOf(entriesOf(options)['machines'])).map(([machine, placed]) => {
        const path = ['instances', instance, 'roles', role, 'machines', machine];
        // Settings were called config, and still may be.
        const secrets = ['settings', 'config'].flatMap((key) =>
          Object.entries(entriesOf(entriesOf(entriesOf(placed)[key])['runtimeSecrets']))
            .map(([secret, written]) => ({ secret, path: [...path, key, 'runtimeSecrets', secret], source: writtenSource(entriesOf(written)) })));
        return {
          instance, machine, path, generated: secrets.filter(({ source }) => source.kind === 'made'),
          issues: secrets.flatMap((secret) => (secret.source.kind === 'wrong' ? [{ ...secret.source.issue, path: [...secret.path, ...secret.source.issue.path] }] : [])),
        };
      })));
}

/** Sources of secrets, and names that become those of directories and files. */
function instanceIssues(instances: Entries): Issue[] {
  const refuse = (path: Path): Issue => ({ path, at: 'key', message: `expected a name: ${SECRET_NAME_RULE}` });
  return placements(instances).flatMap(({ instance, machine, path, generated, issues }) => {
    if (!isGeneratorName(machine)) return [refuse(path)];
    if (generated.length > 0 && !isGeneratorName(instanceGenerator(instance))) return [refuse(path.slice(0, 2))];
    return [...issues, ...generated.filter(({ secret }) => !isGeneratorName(secret)).map((secret) => refuse(secret.path))];
  });
}

function generatorOf(name: string, raw: RawGenerator): Generator {
  const prompts = Object.entries(raw.prompts ?? {})
    .map(([prompt, value]) => ({ name: prompt, type: value?.type ?? 'hidden', description: value?.description }));
  return {
    name, share: raw.share ?? false, dependencies: dependenciesOf(raw), files: filesOf(raw), prompts, recipe: recipeOf(raw),
  };
}

function filesOf(raw: RawGenerator): GeneratorFile[] {
  const declared = raw.files ?? {};
  const kind = kindOf(raw);
  const fixed = FIXED_FILES[kind];
  if (fixed !== undefined) {
    // A certificate that signs itself is its own anchor.
    return Object.entries(fixed).filter(([name]) => name !== 'ca.pem' || raw.signedBy !== undefined)
      .map(([name, secret]) => ({ name, secret: declared[name]?.secret ?? secret }));
  }
  const names = kind === 'prompt' ? Object.keys(raw.prompts ?? {}) : Object.keys(declared).length === 0 ? ['value'] : Object.keys(declared);
  return names.map((name) => ({ name, secret: declared[name]?.secret ?? true }));
}

function recipeOf(raw: RawGenerator): Recipe {
  const kind = kindOf(raw);
  switch (kind) {
    case 'random': return { kind, encoding: raw.encoding ?? DEFAULT_RANDOM.encoding, length: raw.length ?? DEFAULT_RANDOM.length };
    case 'password': return { kind, length: raw.length ?? DEFAULT_PASSWORD_LENGTH };
    case 'ssh-ed25519': return { kind, comment: raw.comment };
    case 'x509': {
      const { commonName, names = [], isCa = false, signedBy, lifetimeDays = isCa ? DEFAULT_CA_LIFETIME_DAYS : DEFAULT_LIFETIME_DAYS } = raw;
      return { kind, commonName, names, lifetimeDays, isCa, signedBy };
    }
    case 'command': {
      const run = raw.script ?? raw.command as readonly [string, ...string[]];
      return { kind, run, timeoutSeconds: raw.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS, stdout: raw.stdout };
    }
    default: return { kind };
  }
}
