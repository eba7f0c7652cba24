// What the values of generators must be to each other. Works on data that the schema may have refused, so
// that one run shows the problems of both.
import { SECRET_NAME_RULE } from '../secret/name.ts';
import { entriesOf, type Entries, type Issue, type Path } from './document.ts';
import { FIXED_FILES, KINDS, type Kind } from './generators.ts';
import { isGeneratorName } from './generators-schema.ts';
import { closestKey } from './keys.ts';

/** The kinds that each key is for; other keys are for all. */
const KINDS_OF_KEYS: Readonly<Record<string, readonly Kind[]>> = {
  encoding: ['random'], length: ['random', 'password'], comment: ['ssh-ed25519'],
  commonName: ['x509'], names: ['x509'], lifetimeDays: ['x509'], isCa: ['x509'], signedBy: ['x509'],
  script: ['command'], command: ['command'], timeoutSeconds: ['command'], stdout: ['command'],
  prompts: ['command', 'prompt', 'password'],
};

/** The kind that is meant where none is written. */
export function kindOf(generator: Entries): Kind {
  const { kind, script, command, prompts } = generator;
  const known = KINDS.find((word) => word === kind);
  if (known !== undefined) return known;
  if (isThere(script) || isThere(command)) return 'command';
  return isThere(prompts) ? 'prompt' : 'random';
}

/** All that a generator is made from, the CA that signs it included. */
export function dependenciesOf({ dependencies, signedBy }: Entries): string[] {
  const named = Array.isArray(dependencies) ? dependencies : [];
  return [...new Set([...named, signedBy].filter((name) => typeof name === 'string'))];
}

export function checkGeneratorRules(generators: Entries): Issue[] {
  return [
    ...Object.entries(generators).flatMap(([name, value]) => {
      const path: Path = ['generators', name];
      if (!isGeneratorName(name)) return [atKey(path, `expected a name: ${SECRET_NAME_RULE}`)];
      const generator = entriesOf(value);
      // A kind that is none says nothing about the other keys.
      if (isThere(generator['kind']) && !KINDS.some((kind) => kind === generator['kind'])) return [];
      return [...kindIssues(path, generator), ...fileIssues(path, generator), ...commandIssues(path, generator),
        ...promptIssues(path, generator), ...dependencyIssues(path, generator, generators)];
    }),
    ...circleIssues(generators),
  ];
}

const isThere = (value: unknown): boolean => value !== undefined && value !== null;

function kindIssues(path: Path, generator: Entries): Issue[] {
  const kind = kindOf(generator);
  return Object.keys(generator).flatMap((key) => {
    const kinds = Object.hasOwn(KINDS_OF_KEYS, key) ? KINDS_OF_KEYS[key] as readonly Kind[] : [kind];
    return kinds.includes(kind) ? [] : [atKey([...path, key], `is for kind ${kinds.join(' or ')}, and this is ${kind}`)];
  });
}

function fileIssues(path: Path, generator: Entries): Issue[] {
  const kind = kindOf(generator);
  const files = Object.entries(entriesOf(generator['files']));
  const fixed = FIXED_FILES[kind];
  return files.flatMap(([name, value]): Issue[] => {
    const at: Path = [...path, 'files', name];
    if (!isGeneratorName(name)) return [atKey(at, `expected the name of a file: ${SECRET_NAME_RULE}`)];
    if (fixed === undefined) return [];
    if (!Object.hasOwn(fixed, name)) return [atKey(at, `is no file of kind ${kind}, which makes ${Object.keys(fixed).join(', ')}`)];
    const isOpened = fixed[name] === true && entriesOf(value)['secret'] === false;
    return isOpened ? [{ path: [...at, 'secret'], at: 'value', message: `expected true: this part of kind ${kind} is always secret` }] : [];
  });
}

function commandIssues(path: Path, generator: Entries): Issue[] {
  if (kindOf(generator) !== 'command') return [];
  const { script, command, stdout } = generator;
  const files = Object.keys(entriesOf(generator['files']));
  const issues: Issue[] = [];
  if (isThere(script) === isThere(command)) {
    issues.push({ path, at: 'value', message: `expected script or command, got ${isThere(script) ? 'both' : 'neither'}` });
  }
  if (files.length === 0) issues.push({ path, at: 'value', message: 'expected files, the names of what it makes; got none' });
  else if (typeof stdout === 'string' && !files.includes(stdout)) {
    issues.push({ path: [...path, 'stdout'], at: 'value', message: `expected one of its files: ${files.join(', ')}` });
  }
  return issues;
}

function promptIssues(path: Path, generator: Entries): Issue[] {
  const prompts = Object.keys(entriesOf(generator['prompts']));
  const issues: Issue[] = prompts.filter((name) => !isGeneratorName(name))
    .map((name) => atKey([...path, 'prompts', name], `expected the name of a prompt: ${SECRET_NAME_RULE}`));
  const kind = kindOf(generator);
  if (kind === 'password') {
    issues.push(...prompts.filter((name) => name !== 'password')
      .map((name) => atKey([...path, 'prompts', name], 'expected password: kind password takes no other prompt')));
  }
  if (kind !== 'prompt') return issues;
  if (prompts.length === 0) return [...issues, { path, at: 'value', message: 'expected prompts, what is to be asked; got none' }];
  return [...issues, ...Object.keys(entriesOf(generator['files'])).filter((name) => !prompts.includes(name))
    .map((name) => atKey([...path, 'files', name], `expected one of its prompts: ${prompts.join(', ')}`))];
}

function dependencyIssues(path: Path, generator: Entries, generators: Entries): Issue[] {
  return dependenciesOf(generator).flatMap((name): Issue[] => {
    const isSigner = generator['signedBy'] === name;
    const index = Array.isArray(generator['dependencies']) ? generator['dependencies'].indexOf(name) : -1;
    const at: Issue = { path: [...path, ...(isSigner ? ['signedBy'] : ['dependencies', index])], at: 'value', message: '' };
    // What is no name may be anything: the schema says so, and does not show it.
    if (!isGeneratorName(name)) return [];
    if (!Object.hasOwn(generators, name)) {
      const closest = closestKey(name, Object.keys(generators));
      return [{ ...at, message: `there is no generator "${name}"${closest === undefined ? '' : `; did you mean "${closest}"`}` }];
    }
    const dependency = entriesOf(generators[name]);
    if (generator['share'] === true && dependency['share'] !== true) {
      return [{ ...at, message: `expected a generator with share: true, since this one has it: "${name}" is another one on each machine` }];
    }
    const signs = kindOf(dependency) === 'x509' && dependency['isCa'] === true;
    return isSigner && !signs ? [{ ...at, message: `expected a generator of kind x509 with isCa: true, which "${name}" is not` }] : [];
  });
}

/** One for each circle, at the generator of it that comes first in the file. */
function circleIssues(generators: Entries): Issue[] {
  const issues: Issue[] = [];
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): void => {
    const start = trail.indexOf(name);
    if (start !== -1) {
      const circle = trail.slice(start);
      issues.push(atKey(['generators', circle[0] as string], `depends on itself: ${[...circle, name].join(' → ')}`));
      return;
    }
    if (done.has(name) || !Object.hasOwn(generators, name)) return;
    for (const next of dependenciesOf(entriesOf(generators[name]))) visit(next, [...trail, name]);
    done.add(name);
  };
  for (const name of Object.keys(generators).filter(isGeneratorName)) visit(name, []);
  return issues;
}

const atKey = (path: Path, message: string): Issue => ({ path, at: 'key', message });
