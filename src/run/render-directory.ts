// Where rendered VMs have their sockets and files unless somebody says otherwise.
import { join } from 'node:path';
import { checkSocketPaths, chooseRuntimeDirectory, makeAbove, memoryDirectories } from '../vm/runtime-directory.ts';

/** The directory above it is made. Throws no_memory_file_system, store_not_private, invalid_request. */
export async function findRenderDirectory(name: string, uid: number, env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const ofAll = await chooseRuntimeDirectory('slicer render', uid, memoryDirectories(env));
  const directory = join(ofAll, name);
  checkSocketPaths(name, directory);
  await makeAbove(directory, uid);
  return directory;
}
