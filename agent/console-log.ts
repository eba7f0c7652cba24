// On the host: keeps a VM's console bounded on disk, also while no daemon runs. Copies stdin to a file
// until it ends; at half the limit the file becomes `FILE.1`, in the place of the one before.
import * as os from 'os';
import * as sys from 'sys';

export function keepConsoleLog(path: string, maxBytes: number): void {
  const slash = path.lastIndexOf('/');
  const directoryFd = sys.openDirectory(path.slice(0, slash) || '/');
  const name = path.slice(slash + 1);
  const chunk = new Uint8Array(64 * 1024);
  const limit = Math.floor(maxBytes / 2);
  let written = 0;
  sys.removeFile(directoryFd, name);
  let fd = sys.createFile(directoryFd, name);
  for (let count = sys.read(0, chunk); count !== 0; count = sys.read(0, chunk)) {
    if (count < 0) continue;
    if (written > 0 && written + count > limit) {
      sys.close(fd);
      os.rename(path, `${path}.1`);
      fd = sys.createFile(directoryFd, name);
      written = 0;
    }
    try {
      for (let sent = 0; sent < count;) sent += sys.write(fd, chunk, sent, count);
      written += count;
    } catch {
      // A full disk costs lines of the log; it must not stop the guest that writes them.
    }
  }
}
