// An inventory as plain data: YAML or JSON, or Nix by the name `*.nix`. Who reads one says of what it finds
// where it is: at a line and column, or for Nix, whose data has none, at an attribute.
import { resolve } from 'node:path';
import { fail, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import { entriesOf, FORBIDDEN_KEY, FORBIDDEN_KEY_RULE, type Issue, type Path } from './document.ts';
import { readDocument } from './yaml-document.ts';
import { describeFailure, diskFiles } from './named-files.ts';
import { evaluateNix } from './nix-evaluation.ts';
import { pathText, problemAt, problemsOf } from './problems.ts';

const INVENTORY_MAX_BYTES = 4 * 1024 * 1024;

export interface InventoryFile {
  /** How problems name the file. */
  readonly file: string;
  /** What relative paths start from. */
  readonly directory: string;
}

export interface InventoryDocument {
  readonly data: unknown;
  readonly problems: (issues: readonly Issue[]) => Problem[];
}

/**
 * `env` is for Nix: its PATH, HOME and NIX_PATH. Throws invalid_config, not_found where there is no such file,
 * and missing_part for Nix where there is none.
 */
export async function loadInventoryDocument({ file, directory }: InventoryFile, env: Readonly<Record<string, string | undefined>>): Promise<InventoryDocument> {
  const text = readText(file, directory);
  if (!file.endsWith('.nix')) return parseInventoryDocument(text, file);
  const data = await evaluateNix({ file, path: resolve(directory, file), env });
  const problems = (issues: readonly Issue[]): Problem[] =>
    issues.map(({ path, message }) => ({ code: 'invalid_config', message: `${file}: ${pathText(path)}${message}` }));
  throwIfAny(problems(forbiddenKeys(data, [])));
  return { data, problems };
}

function forbiddenKeys(value: unknown, path: Path): Issue[] {
  if (Array.isArray(value)) return value.flatMap((part, index) => forbiddenKeys(part, [...path, index]));
  return Object.entries(entriesOf(value)).flatMap(([key, part]) =>
    (key === FORBIDDEN_KEY ? [{ path: [...path, key], at: 'key', message: FORBIDDEN_KEY_RULE } as const] : forbiddenKeys(part, [...path, key])));
}

/** YAML or JSON; `file` is how problems name it. Throws invalid_config. */
export function parseInventoryDocument(text: string, file: string): InventoryDocument {
  const document = readDocument(text);
  throwIfAny(document.syntaxProblems.map((problem) => problemAt(file, problem, problem.message)));
  return { data: document.data, problems: (issues) => problemsOf(file, document, issues) };
}

function readText(file: string, directory: string): string {
  try {
    return new TextDecoder().decode(diskFiles.read(resolve(directory, file), INVENTORY_MAX_BYTES));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fail('invalid_config', `"${file}" ${describeFailure(error)}`);
    throw fail('not_found', `"${file}" does not exist`);
  }
}
