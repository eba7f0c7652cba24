// Reads slicer.yaml. Guarantees: what it returns needs no further check, and when it refuses, it names
// every problem of the file at once, each with line and column.
import { resolve } from 'node:path';
import { fail, throwIfAny } from '../errors/slicer-error.ts';
import type { Config } from './config.ts';
import type { ConfigDocument } from './document.ts';
import { readDocument } from './yaml-document.ts';
import { describeUnknownKey } from './keys.ts';
import { describeFailure, diskFiles, readNamedFiles, type ConfigFiles } from './named-files.ts';
import { issuesOf, problemAt, problemsOf } from './problems.ts';
import { resolveConfig } from './resolve.ts';
import { checkRules } from './rules.ts';
import { configSchema } from './schema.ts';

/** Largest slicer.yaml: room for several scripts in it. */
const CONFIG_MAX_BYTES = 4 * 1024 * 1024;

export interface ConfigSource {
  /** How problems name the file. */
  readonly file: string;
  /** What relative paths in the file start from: the daemon's working directory. */
  readonly directory: string;
  readonly files?: ConfigFiles;
}

/** Throws invalid_config, and not_found where there is no such file. */
export function loadConfig(file: string, directory: string = process.cwd()): Config {
  let bytes: Uint8Array;
  try {
    bytes = diskFiles.read(resolve(directory, file), CONFIG_MAX_BYTES);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fail('invalid_config', `"${file}" ${describeFailure(error)}`);
    throw fail('not_found', `"${file}" does not exist`, `slicer new GROUP > ${file}`);
  }
  return parseConfig(new TextDecoder().decode(bytes), { file, directory });
}

/** What holds where there is no file, for VMs that an inventory declares: no host groups, and the defaults. */
export const configWithoutGroups = (directory: string = process.cwd()): Config => resolveConfig({ host_groups: [], api: undefined, audit: undefined }, directory, new Map());

/** Throws invalid_config. */
export const parseConfig = (text: string, source: ConfigSource): Config => configOf(readDocument(text), source);

/** The same of a text that was read already. */
export function configOf(document: ConfigDocument, source: ConfigSource): Config {
  throwIfAny(document.syntaxProblems.map((problem) => problemAt(source.file, problem, problem.message)));
  const parsed = configSchema.safeParse(document.data);
  const named = readNamedFiles(document.data, source.directory, source.files ?? diskFiles);
  const issues = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue, describeUnknownKey))),
    ...checkRules(document.data, source.directory),
    ...named.issues,
  ];
  throwIfAny(problemsOf(source.file, document, issues));
  // Never reached with a failed parse, whose issues were just thrown.
  if (!parsed.success) throw parsed.error;
  return resolveConfig(parsed.data.config, source.directory, named.userdata);
}
