// Takes out of a VMM's own messages what may be a value: a VMM that does not understand its configuration
// may repeat it. Whole lines are looked at, so that a value is found however it was cut into writes.

/** From here to the end of a line nothing is shown, whatever characters the value has. */
const CREDENTIAL = /io\.systemd\.credential[^]*/;
/** Standard and URL-safe alphabet (RFC 4648, 4 and 5). A run this long is no word of a message. */
const BASE64 = /[A-Za-z0-9+/_-]{32,}={0,2}/g;

/** A line of more characters than this is not shown: what is in it can't be known before its end. */
const LINE_MAX_LENGTH = 16 * 1024;

export class LineFilter {
  readonly #decoder = new TextDecoder();
  #line = '';
  #isTooLong = false;

  /** Text that is safe to show so far: whole lines. */
  take(chunk: Uint8Array): string {
    return this.#pass(this.#decoder.decode(chunk, { stream: true }));
  }

  /** What is left, when there is no more. */
  end(): string {
    const rest = this.#pass(this.#decoder.decode());
    return this.#line === '' && !this.#isTooLong ? rest : rest + this.#pass('\n');
  }

  #pass(text: string): string {
    const lines = text.split('\n');
    const rest = lines.pop() as string;
    const shown = lines.map((end) => {
      const line = this.#line + end;
      const isTooLong = this.#isTooLong;
      this.#line = '';
      this.#isTooLong = false;
      return isTooLong || line.length > LINE_MAX_LENGTH ? '[a long line]\n' : `${redact(line)}\n`;
    });
    // Not looked through before its end is there: a line of single bytes costs no more than a line.
    this.#line += rest;
    if (this.#line.length > LINE_MAX_LENGTH) {
      this.#isTooLong = true;
      this.#line = '';
    }
    return shown.join('');
  }
}

/** One line without what may be a value. */
export function redact(line: string): string {
  return line.replace(CREDENTIAL, '[credential]').replace(BASE64, '[redacted]');
}
