// Generated values, struck at any moment: all files of a generator are of one time, with their modes.
import { lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { openVars, type NewFile, type VarsDirectory } from '../../src/generate/vars-directory.ts';
import { Secret } from '../../src/secret/secret.ts';
import { assertOneOf, type Operation } from './operation.ts';

const UID = process.geteuid?.() as number;
const PLACE = { machine: 'm', generator: 'g' };

type Values = readonly string[];

const NONE: Values = [];
const OLD: Values = valuesOf('old ');
const NEW: Values = valuesOf('new ');

interface VarsChange {
  readonly before: Values;
  readonly after: Values;
  readonly prepare?: (directory: string) => void;
  readonly change: (vars: VarsDirectory) => void;
}

const CHANGES: Readonly<Record<string, VarsChange>> = {
  'make values': { before: NONE, after: NEW, change: (vars) => vars.write(PLACE, files('new '), false) },
  'make values again': { before: OLD, after: NEW, change: (vars) => vars.write(PLACE, files('new '), true) },
  'mend what a replacement left half done': { before: OLD, after: OLD, prepare: cutShort, change: () => undefined },
};

export const VARS_OPERATIONS: Readonly<Record<string, Operation>> = Object.fromEntries(
  Object.entries(CHANGES).map(([title, { before, after, prepare, change }]): [string, Operation] => [title, {
    prepare: async (directory) => {
      if (before !== NONE) openVars(directory, UID).write(PLACE, files('old '), false);
      prepare?.(directory);
    },
    // Opening mends, so it is part of each.
    begin: async (directory) => async () => change(openVars(directory, UID)),
    check: async (directory, outcome) => {
      const vars = openVars(directory, UID);
      assertOneOf(found(vars, directory), before, after, outcome);
      const left = [directory, join(directory, 'm')].flatMap((each) => listed(each)).filter((entry) => entry !== 'm' && entry !== 'g');
      if (left.length > 0) throw new Error(`left in the directory: ${left.join(', ')}`);
      vars.write(PLACE, files('next '), true);
    },
  }]));

/** A secret one and a public one. */
function files(word: string): NewFile[] {
  return ['key', 'key.pub'].map((name) => ({ name, secret: name === 'key', value: new Secret(Buffer.from(word.repeat(2500))) }));
}

function valuesOf(word: string): Values {
  return files(word).map(({ name, secret, value }) => `${name} ${secret ? '400' : '444'} ${value.sizeBytes} ${word}`);
}

function found(vars: VarsDirectory, directory: string): Values {
  return vars.list(PLACE).map(({ name, problem }) => {
    if (problem !== undefined) return `${name} ${problem}`;
    const text = Buffer.from(vars.read({ ...PLACE, file: name }).reveal()).toString();
    const word = text.slice(0, 4);
    const mode = lstatSync(join(directory, 'm/g', name)).mode & 0o777;
    return `${name} ${mode.toString(8)} ${text.length} ${word.repeat(text.length / 4) === text ? word : 'a mix'}`;
  });
}

/** As a process leaves it that is killed between the two renames of a replacement. */
function cutShort(directory: string): void {
  const temporary = join(directory, 'm', '.slicer-4194305-0123456789abcdef.tmp');
  for (const each of [temporary, join(temporary, 'new'), join(temporary, 'old'), join(temporary, 'new/g')]) mkdirSync(each, { mode: 0o700 });
  renameSync(join(directory, 'm/g'), join(temporary, 'old/g'));
}

const listed = (directory: string): string[] => (lstatSync(directory, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(directory));
