// One daemon for one directory. The lock is a file that names a process by id, start time and boot, so
// that the lock of a dead process is known as such, whatever its id is used for now.
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fail } from '../errors/slicer-error.ts';
import { isAlive, readBootId, startTimeOf } from '../vm/process-table.ts';

interface Holder {
  readonly pid: number;
  readonly start_time: number;
  readonly boot_id: string;
}

/** Somebody else may take a stale lock over at the same time; nobody needs as many attempts as this. */
const ATTEMPTS = 10;

/** Takes the lock at `path`, and resolves with what gives it back. Throws already_running. */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const own = `${path}.${randomBytes(8).toString('hex')}`;
  const holder: Holder = { pid: process.pid, start_time: startTimeOf(process.pid) as number, boot_id: readBootId() };
  const text = JSON.stringify(holder);
  await writeFile(own, text, { mode: 0o600, flag: 'wx' });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (await isLinked(own, path)) {
        return async () => {
          if (await read(path) === text) await rm(path, { force: true });
        };
      }
      const found = await read(path);
      if (found === undefined) continue;
      const other = parse(found);
      if (other !== undefined && other.boot_id === holder.boot_id && isAlive(other)) {
        throw fail('already_running', `a daemon serves this directory already: process ${other.pid}`, `slicer info, or to end it: kill ${other.pid}`);
      }
      await takeAway(path, found, own);
    }
    throw fail('already_running', `other daemons start in this directory at the same time: ${path}`);
  } finally {
    await rm(own, { force: true });
  }
}

/** link(2) makes the file appear with its content, or not at all. */
async function isLinked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes the stale lock that was `found`; one that came in its place meanwhile goes back. */
async function takeAway(path: string, found: string, own: string): Promise<void> {
  const aside = `${own}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (await read(aside) !== found) await isLinked(aside, path);
  await rm(aside, { force: true });
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for what is no lock: a crash of the machine may have emptied the file. */
function parse(text: string): Holder | undefined {
  try {
    const { pid, start_time, boot_id } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== 'number' || typeof start_time !== 'number' || typeof boot_id !== 'string') return undefined;
    return { pid, start_time, boot_id };
  } catch {
    return undefined;
  }
}
