// One daemon for one directory. The kernel holds the lock (flock(2)), so that it goes with its holder,
// however that dies, and no two can have it. Node has no flock: a process of util-linux's flock(1) takes
// the lock and becomes cat, which ends when this process does, since its stdin ends then.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { fail } from '../errors/slicer-error.ts';

type Holder = ChildProcessByStdio<Writable, Readable, null>;

const CONFLICT_EXIT_CODE = 75;
/** A daemon that was killed holds its lock until cat has seen the end of its stdin. */
const WAIT_SECONDS = 1;

/**
 * Takes the lock at `path`, and resolves with what gives it back. The file stays: whoever removed it could
 * remove the one that another holds. Throws already_running, missing_part, forbidden.
 */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const args = ['--timeout', String(WAIT_SECONDS), '--conflict-exit-code', String(CONFLICT_EXIT_CODE), '--no-fork', path, 'cat'];
  // In a session of its own: Ctrl-C ends the daemon, which gives the lock back last.
  // Of the environment only what finds the two programs: the rest is the daemon's alone.
  const env = { PATH: process.env['PATH'] };
  const holder = spawn('flock', args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true, env });
  holder.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => holder.once('error', reject).once('close', resolve));
  const failed = ended.then(
    async (code) => { throw code === CONFLICT_EXIT_CODE ? await alreadyRunning(path) : cannotLock(path); },
    () => { throw fail('missing_part', 'flock is not installed', 'apt-get install util-linux'); },
  );
  await Promise.race([failed, answered(holder)]);
  failed.catch(() => undefined);
  // For the message that another daemon gives; the lock does not depend on it, so that a full disk keeps no daemon from starting.
  await writeFile(path, `${process.pid}\n`).catch(() => undefined);
  holder.unref();
  return async () => {
    // Nothing else may be left that this process runs for.
    holder.ref();
    holder.stdin.end();
    await ended;
  };
}

/** cat answers, so the lock is held. */
async function answered(holder: Holder): Promise<void> {
  holder.stdin.write('\n');
  await once(holder.stdout, 'data');
}

async function alreadyRunning(path: string): Promise<Error> {
  const pid = holderIn(await readFile(path, 'utf8').catch(() => ''));
  return fail(
    'already_running',
    `a daemon serves this directory already${pid === undefined ? '' : `: process ${pid}`}`,
    pid === undefined ? 'slicer info' : `slicer info, or to end it: kill ${pid}`,
  );
}

/** The process that a lock's file names; undefined where its holder is so new that it has not said who it is. */
export function holderIn(text: string): number | undefined {
  const pid = /^[0-9]{1,10}$/.test(text.trim()) ? Number(text) : 0;
  return pid > 1 ? pid : undefined;
}

const cannotLock = (path: string): Error => fail('forbidden', `the lock can't be made: ${path}`, 'run slicer up in a directory of your own');
