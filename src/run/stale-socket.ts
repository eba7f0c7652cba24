// A place for a VM's VSOCK that the operator chose: a socket that nobody serves any more makes way.
import { rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { fail } from '../errors/slicer-error.ts';

/** Throws already_running when somebody answers there, invalid_request when something else is in its place. */
export async function clearSocket(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket()) throw fail('invalid_request', `${path} is there and is no socket`, 'remove it, or choose another path');
  if (await answers(path)) throw fail('already_running', `another VM has the socket ${path}`);
  await rm(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A listener whose queue is full is alive.
    probe.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EAGAIN'));
  });
}
