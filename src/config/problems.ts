// What is wrong with a configuration file, as problems that name file, line and column.
import type { z } from 'zod';
import type { Problem } from '../errors/slicer-error.ts';
import type { ConfigDocument, Issue, Path, Position } from './document.ts';

/** In the order of the file. */
export function problemsOf(file: string, document: ConfigDocument, issues: readonly Issue[]): Problem[] {
  return issues
    .map(({ path, at, message }) => ({ position: document.positionOf(path, at), text: `${pathText(path)}${message}` }))
    .sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column)
    .map(({ position, text }) => problemAt(file, position, text));
}

export function problemAt(file: string, { line, column }: Position, text: string): Problem {
  return { code: 'invalid_config', message: `${file}:${line}:${column}: ${text}` };
}

/** `config.host_groups[0].vcpu: `, and nothing for the top. */
export function pathText(path: Path): string {
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return text === '' ? '' : `${text.replace(/^\./, '')}: `;
}

/** What the schema found; `describeUnknownKey` says of a key in the map at `path` why it is none. */
export function issuesOf(issue: z.core.$ZodIssue, describeUnknownKey: (key: string, path: Path) => string): Issue[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  if (issue.code !== 'unrecognized_keys') return [{ path, at: 'value', message: issue.message }];
  return issue.keys.map((key) => ({ path: [...path, key], at: 'key', message: describeUnknownKey(key, path) }));
}
