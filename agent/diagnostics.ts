// What a VMM says on its stderr, without what could be a secret: some echo their configuration, in which
// credentials are, when they don't like it. A line is kept whole or cut, never passed on unseen.
import * as sys from 'sys';
import { utf8Bytes } from './text.ts';

const LINE_MAX_LENGTH = 4096;
const REDACTED = '[redacted]';

/** A credential reaches to the end of its line, however it is quoted or escaped. */
const CREDENTIAL = /io\.systemd\.credential[^]*/;
/** 24 bytes and more as base64 (RFC 4648). */
const BASE64_RUN = /[A-Za-z0-9+/]{32,}={0,2}/g;
/** A run that the cut of a line made shorter than it was; looked for from where a run begins, or long ones cost their square. */
const RUN_AT_CUT = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]+={0,2}$/;

export class Diagnostics {
  readonly #write: (text: Uint8Array) => void;
  /** The line that has not ended yet: its first characters, one for each byte. */
  #line = '';
  #isCut = false;

  constructor(write: (text: Uint8Array) => void) {
    this.#write = write;
  }

  push(chunk: Uint8Array): void {
    const lines = sys.latin1(chunk, 0, chunk.byteLength).split('\n');
    lines.forEach((part, index) => {
      const room = LINE_MAX_LENGTH - this.#line.length;
      this.#line += part.slice(0, room);
      this.#isCut ||= part.length > room;
      if (index < lines.length - 1) this.#endLine();
    });
  }

  /** No more comes: the last line may lack its end. */
  end(): void {
    if (this.#line !== '') this.#endLine();
  }

  #endLine(): void {
    const line = (this.#isCut ? this.#line.replace(RUN_AT_CUT, REDACTED) : this.#line)
      .replace(CREDENTIAL, REDACTED)
      .replace(BASE64_RUN, REDACTED);
    this.#line = '';
    this.#isCut = false;
    // Beyond ASCII one can't say what a byte belonged to once its line was cut.
    this.#write(utf8Bytes(`${line.replace(/[^\t\x20-\x7e]/g, '?')}\n`));
  }
}
