// Reads the text of a file for `slicer run`, YAML or JSON. Guarantees: what it returns needs no further check of
// the file, and when it refuses, it names every problem at once, each with line and column.
import { throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { ConfigDocument } from './document.ts';
import { problemAt, problemsOf } from './problems.ts';
import type { RunFile } from './run-file.ts';
import { checkRunFile, resolveRunFile } from './run-file-resolve.ts';
import { soundParts, type SoundParts } from './sound-parts.ts';
import { readDocument } from './yaml-document.ts';

export interface RunFileSource {
  /** How problems name it. */
  readonly file: string;
  /** Where relative paths start. */
  readonly directory: string;
}

export interface RunFileReading {
  /** Undefined where there are problems. */
  readonly run: RunFile | undefined;
  readonly problems: readonly Problem[];
  /** What is right by itself, whatever is wrong besides. */
  readonly sound: SoundParts;
}

const NOTHING: SoundParts = { secrets: [], interfaces: [], shares: [], volumes: [] };

export const readRunText = (text: string, source: RunFileSource): RunFileReading => readRunDocument(readDocument(text), source);

/** The same of a text that was read already. */
export function readRunDocument(document: ConfigDocument, { file, directory }: RunFileSource): RunFileReading {
  if (document.syntaxProblems.length > 0) {
    return { run: undefined, problems: document.syntaxProblems.map((problem) => problemAt(file, problem, problem.message)), sound: NOTHING };
  }
  const { raw, issues } = checkRunFile(document.data);
  if (raw !== undefined) {
    const run = resolveRunFile(raw, directory);
    return { run, problems: [], sound: run };
  }
  const sound = soundParts(document.data, issues);
  return { run: undefined, problems: problemsOf(file, document, issues), sound: sound === undefined ? NOTHING : resolveRunFile(sound, directory) };
}

/** Throws invalid_config. */
export function parseRunFile(text: string, source: RunFileSource): RunFile {
  const { run, problems } = readRunText(text, source);
  throwIfAny(problems);
  // Without problems it is there.
  return run as RunFile;
}
