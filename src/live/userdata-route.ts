// The script that a VM runs once: handed out at most once, whatever the guest does and wherever the
// host stops.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { UserdataResult } from '../wire/protocol.ts';
import type { LiveVmOptions } from './contract.ts';
import { userdataResult } from './guest-messages.ts';
import { readJson } from './json-body.ts';
import { respond, respondEmpty, respondError, type ResponseLimits } from './response.ts';
import type { RefusalReason } from './witness.ts';

type Options = Pick<LiveVmOptions, 'userdata' | 'onUserdataClaimed' | 'onUserdataResult'>;

export class UserdataRoute {
  readonly #options: Options;
  readonly #limits: ResponseLimits;
  readonly #refused: (reason: RefusalReason) => void;
  #script: Uint8Array | undefined;
  #resultTaken = false;

  constructor(options: Options, limits: ResponseLimits, refused: (reason: RefusalReason) => void) {
    this.#options = options;
    this.#limits = limits;
    this.#refused = refused;
    this.#script = options.userdata;
  }

  async handOut(response: ServerResponse): Promise<void> {
    const script = this.#script;
    this.#script = undefined;
    if (script === undefined) return respondEmpty(response, 204, this.#limits);
    try {
      await this.#options.onUserdataClaimed?.();
    } catch (error) {
      this.#script = script;
      throw error;
    }
    respond(response, 200, { 'Content-Type': 'application/octet-stream' }, Buffer.from(script), this.#limits);
  }

  /** The first result counts; later ones are taken and dropped. */
  async takeResult(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request, userdataResult);
    if ('status' in body) {
      this.#refused(body.status === 413 ? 'too_large' : 'malformed');
      return respondError(response, body.status, 'invalid_request', body.reason, this.#limits);
    }
    await this.#pass(body.value);
    respondEmpty(response, 204, this.#limits);
  }

  async #pass(result: UserdataResult): Promise<void> {
    if (this.#resultTaken) return;
    this.#resultTaken = true;
    try {
      await this.#options.onUserdataResult?.(result);
    } catch (error) {
      this.#resultTaken = false;
      throw error;
    }
  }
}
