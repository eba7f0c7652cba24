// Reads the text of a file for `slicer run`, YAML or JSON. Guarantees: what it returns needs no further check of
// the file, and when it refuses, it names every problem at once, each with line and column.
import { throwIfAny } from '../errors/slicer-error.ts';
import { problemAt, problemsOf } from './problems.ts';
import type { RunFile } from './run-file.ts';
import { checkRunFile, resolveRunFile } from './run-file-resolve.ts';
import type { RawRunFile } from './run-file-schema.ts';
import { readDocument } from './yaml-document.ts';

/** `file` is how problems name it; relative paths start at `directory`. Throws invalid_config. */
export function parseRunFile(text: string, source: { readonly file: string; readonly directory: string }): RunFile {
  const document = readDocument(text);
  throwIfAny(document.syntaxProblems.map((problem) => problemAt(source.file, problem, problem.message)));
  const { raw, issues } = checkRunFile(document.data);
  throwIfAny(problemsOf(source.file, document, issues));
  // Without issues it is there.
  return resolveRunFile(raw as RawRunFile, source.directory);
}
