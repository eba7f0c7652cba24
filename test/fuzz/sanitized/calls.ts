// The sanitized agent/sys.c, which is given programs of calls one by one.
import type { Socket } from 'node:net';
import { startSanitized, type SanitizedProcess } from './program.ts';

export class SanitizedCalls {
  readonly #process: SanitizedProcess;
  #answer = '';
  #settle: ((answer: string) => void) | undefined;
  #ended: string | undefined;

  private constructor(started: SanitizedProcess) {
    this.#process = started;
    started.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#answer += text;
      if (this.#answer.endsWith('\n')) this.#settle?.(this.#answer.slice(0, -1));
    });
    this.#out.unref();
    void started.ended.then((said) => this.#settle?.(this.#ended = said));
  }

  /** Keeps Node waiting only while there is something to wait for. */
  get #out(): Socket {
    return this.#process.child.stdout as unknown as Socket;
  }

  static async start(): Promise<SanitizedCalls> {
    return new SanitizedCalls(await startSanitized());
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** What is wrong; empty where nothing is. */
  take(input: Buffer): Promise<string> {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(input.length);
    this.#answer = '';
    return new Promise((resolve) => {
      if (this.#ended !== undefined) return resolve(this.#ended);
      this.#settle = (answer) => {
        this.#out.unref();
        resolve(answer);
      };
      this.#out.ref();
      this.#process.child.stdin.write(Buffer.concat([length, input]));
    });
  }
}
