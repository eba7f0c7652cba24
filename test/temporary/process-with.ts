// A process that has a directory open, as one has that is at work in it.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { TestContext } from 'node:test';

/** Its id; it ends with the test. */
export function processWith(t: TestContext, directory: string): number {
  const descriptor = openSync(directory, 'r');
  const child = spawn('sleep', ['600'], { stdio: ['ignore', 'ignore', 'ignore', descriptor] });
  closeSync(descriptor);
  t.after(() => child.kill('SIGKILL'));
  return child.pid as number;
}
