// The console of a VM that was not ready in time and is deleted: what would explain it, so it is kept, in one
// file, the newest in the place of the one before. The VM's log is bounded, and so is this.
import { rename, writeFile } from 'node:fs/promises';
import type { Vms } from '../vm/contract.ts';

/** Below the daemon's directory. */
export const LATE_CONSOLE = '.slicer/late-launch.log';

/** Whether it was kept. A full disk, say, must not keep the VM from being deleted. */
export async function keepLateConsole(vms: Vms, hostname: string, file: string): Promise<boolean> {
  try {
    const { content } = await vms.logs(hostname, 0);
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
    return true;
  } catch {
    return false;
  }
}
