// Each agent watches its secrets with an inotify instance of its own. In a guest that is one; a thousand
// agents on one machine are more than a user may have by default (inotify(7), max_user_instances).
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = '/proc/sys/fs/inotify/max_user_instances';

/** Lets a user have `count` instances while `work` lasts. Throws where only root may. */
export async function withInotifyInstances<T>(count: number, work: () => Promise<T>): Promise<T> {
  const before = readFileSync(FILE, 'latin1').trim();
  if (Number(before) >= count) return work();
  try {
    writeFileSync(FILE, String(count));
  } catch {
    throw new Error(`${count} inotify instances are needed, a user may have ${before}: sysctl -w fs.inotify.max_user_instances=${count}`);
  }
  try {
    return await work();
  } finally {
    writeFileSync(FILE, before);
  }
}
