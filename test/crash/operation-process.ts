// The process that is struck: `operation-process.ts OPERATION DIRECTORY`. It prints a line when it is about to
// make the change, makes it when a line comes, and prints how that ended.
import { writevSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { once } from 'node:events';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { OPERATIONS } from './operations.ts';
import type { Operation } from './operation.ts';

const [title, directory] = process.argv.slice(2) as [string, string];
const change = await (OPERATIONS[title] as Operation).begin(directory);
// The thread for file system calls is there from the first of them on.
await stat('/');
const begin = once(process.stdin, 'data');
say({ state: 'ready' });
await begin;
try {
  await change();
  say({ state: 'made' });
} catch (error) {
  const problem = error instanceof SlicerError ? error.problems[0] : { code: 'not an error of Slicer', message: String(error) };
  say({ state: 'refused', problem });
}
process.exit();

function say(line: object): void {
  // writev(2), which nothing else here uses: an acknowledgement is not mistaken for a write to a file.
  // With one buffer libuv makes it a write(2).
  writevSync(1, [Buffer.from(JSON.stringify(line)), Buffer.from('\n')]);
}
