// On the host: keeps a VM's console bounded on disk, also while no daemon runs. Copies stdin to a file
// until it ends; at half the limit the file becomes `FILE.1`, in the place of the one before. A second
// descriptor brings what the VMM itself has to say, of which nothing is kept that could be a secret.
import * as os from 'os';
import * as sys from 'sys';
import { Diagnostics } from './diagnostics.ts';

const CHUNK_BYTES = 64 * 1024;

/** Resolves when all that is read has ended. */
export async function keepConsoleLog(path: string, maxBytes: number, diagnosticsFd: number | undefined): Promise<void> {
  const file = new BoundedFile(path, maxBytes);
  const diagnostics = new Diagnostics((text) => file.write(text));
  await Promise.all([
    untilEnd(0, (chunk) => file.write(chunk)),
    ...(diagnosticsFd === undefined ? [] : [untilEnd(diagnosticsFd, (chunk) => diagnostics.push(chunk)).then(() => diagnostics.end())]),
  ]);
}

function untilEnd(fd: number, take: (chunk: Uint8Array) => void): Promise<void> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  return new Promise((resolve) => {
    os.setReadHandler(fd, () => {
      const count = sys.read(fd, buffer);
      if (count > 0) take(buffer.subarray(0, count));
      if (count !== 0) return;
      os.setReadHandler(fd, null);
      resolve();
    });
  });
}

class BoundedFile {
  readonly #path: string;
  readonly #name: string;
  readonly #directoryFd: number;
  readonly #limit: number;
  #fd: number;
  #written = 0;

  constructor(path: string, maxBytes: number) {
    const slash = path.lastIndexOf('/');
    this.#path = path;
    this.#directoryFd = sys.openDirectory(path.slice(0, slash) || '/');
    this.#name = path.slice(slash + 1);
    this.#limit = Math.floor(maxBytes / 2);
    sys.removeFile(this.#directoryFd, this.#name);
    this.#fd = sys.createFile(this.#directoryFd, this.#name);
  }

  write(bytes: Uint8Array): void {
    try {
      if (this.#written > 0 && this.#written + bytes.byteLength > this.#limit) this.#moveOn();
      for (let sent = 0; sent < bytes.byteLength;) sent += sys.write(this.#fd, bytes, sent, bytes.byteLength);
      this.#written += bytes.byteLength;
    } catch {
      // A full disk costs lines of the log; it must not stop the guest that writes them.
    }
  }

  /** Throws where there can be no new file; then the next write tries again. */
  #moveOn(): void {
    os.rename(this.#path, `${this.#path}.1`);
    const next = sys.createFile(this.#directoryFd, this.#name);
    sys.close(this.#fd);
    this.#fd = next;
    this.#written = 0;
  }
}
