// Serves the connections that the host dials (src/wire/protocol.ts, parts 2 and 4). Whoever connects is
// a stranger until he proved the key; a stranger gets the answer to one challenge and nothing else, and
// a few seconds to go on. What came in these seconds counts, also when the agent was too busy to look.
import * as os from 'os';
import * as sys from 'sys';
import { encodeHead, MessageReader, requestLineOf, type Head } from '../src/wire/http.ts';
import { HEX_32_BYTES, type Nonces, type Purpose } from '../src/wire/proof.ts';
import { JSON_MAX_BYTES, PROOF_SCHEME, type ExecRequest, type Health } from '../src/wire/protocol.ts';
import { AGENT_PORT } from '../src/wire/ports.ts';
import { Connection } from './connection.ts';
import { serveExec } from './exec.ts';
import { Fault } from './fault.ts';
import type { StartProgram } from './program.ts';
import type { Session } from './session.ts';
import { joinedBytes, jsonBytes, utf8Bytes, utf8Text } from './text.ts';
import type { Transport } from './transport.ts';
import { AGENT_VERSION } from './version.ts';

const STRANGERS_MAX = 8;
/** From the beginning of a connection, or a stranger's last request, until the next one. */
const STRANGER_TIMEOUT_MS = 5000;
const CALLS_MAX = 64;

export interface HostCallOptions {
  readonly transport: Transport;
  readonly session: Session;
  readonly health: () => Health;
  readonly start: StartProgram;
  readonly onFault: (fault: Fault) => void;
}

/** Listens for the host until the process ends. Throws when the port is taken. */
export function serveHostCalls(options: HostCallOptions): void {
  const listener = options.transport.listen();
  const open = { strangers: 0, calls: 0 };
  os.setReadHandler(listener, () => {
    const accepted = sys.accept(listener);
    if (accepted === null) return;
    const [fd, peerCid] = accepted;
    const full = open.strangers >= STRANGERS_MAX || open.calls >= CALLS_MAX;
    if (full || !options.transport.isHost(peerCid)) {
      sys.close(fd);
      return;
    }
    new HostCall(fd, options, open);
  });
}

class HostCall {
  readonly #options: HostCallOptions;
  readonly #open: { strangers: number; calls: number };
  readonly #connection: Connection;
  #timer: object;
  #stranger = true;
  #served = 0;
  #purpose: Purpose = 'session';
  #nonces: Nonces | undefined;
  #onExecDrain: (() => void) | undefined;
  #onGone: (() => void) | undefined;

  constructor(fd: number, options: HostCallOptions, open: { strangers: number; calls: number }) {
    this.#options = options;
    this.#open = open;
    open.strangers += 1;
    open.calls += 1;
    this.#timer = this.#deadline();
    const reader = this.#messages();
    let preamble = options.transport.asksForPort ? `CONNECT ${AGENT_PORT}\n` : '';
    this.#connection = new Connection(fd, false, {
      onData: (chunk) => {
        if (preamble === '') return reader.push(chunk);
        if (chunk.byteLength < preamble.length || sys.text(chunk, 0, preamble.length) !== preamble) {
          throw new Fault('protocol', 'expected CONNECT');
        }
        this.#connection.write(utf8Bytes(`OK ${fd}\n`));
        const rest = chunk.subarray(preamble.length);
        preamble = '';
        reader.push(rest);
      },
      onDrain: () => this.#onExecDrain?.(),
      onClose: (fault) => {
        this.#admit();
        open.calls -= 1;
        this.#onGone?.();
        if (fault !== undefined && fault.code !== 'closed') options.onFault(fault);
      },
    });
  }

  #messages(): MessageReader {
    let head: Head;
    let body: Uint8Array[] = [];
    const reader: MessageReader = new MessageReader({
      onHead: (received) => {
        head = received;
        if (received.contentLength > JSON_MAX_BYTES) throw new Fault('protocol', 'the host sent a body that is too large');
      },
      onBody: (chunk) => {
        body.push(chunk.slice());
      },
      onEnd: () => {
        const text = utf8Text(joinedBytes(body));
        body = [];
        this.#serve(head, text, reader);
      },
    }, sys.latin1);
    return reader;
  }

  /** The peer is no stranger any more, or is gone. */
  #admit(): void {
    if (!this.#stranger) return;
    this.#stranger = false;
    this.#open.strangers -= 1;
    os.clearTimeout(this.#timer);
  }

  #deadline(): object {
    return os.setTimeout(() => {
      const served = this.#served;
      this.#connection.readNow();
      if (this.#stranger && this.#served === served) this.#connection.close();
    }, STRANGER_TIMEOUT_MS);
  }

  #serve(head: Head, body: string, reader: MessageReader): void {
    this.#served += 1;
    if (this.#stranger) {
      os.clearTimeout(this.#timer);
      this.#timer = this.#deadline();
    }
    const { method, target } = requestLineOf(head);
    const route = `${method} ${target}`;
    if (route === 'POST /v1/challenge') return this.#challenge(body);
    if (route === 'PUT /v1/session') return this.#takeSession(body);
    if (!this.#isProven(head)) return this.#respond('401 Unauthorized');
    if (route === 'GET /v1/health') return this.#respond('200 OK', this.#options.health());
    if (route !== 'POST /v1/exec') return this.#respond('404 Not Found');
    this.#connection.write(utf8Bytes(encodeHead('HTTP/1.1 101 Switching Protocols', { Upgrade: 'slicer-exec' })));
    const exec = serveExec(JSON.parse(body) as ExecRequest, this.#connection, this.#options.start);
    this.#onExecDrain = exec.onDrain;
    this.#onGone = exec.onGone;
    reader.switchTo(exec.onData);
  }

  #challenge(body: string): void {
    const { purpose, nonce } = JSON.parse(body) as { purpose?: unknown; nonce?: unknown };
    if ((purpose !== 'session' && purpose !== 'call') || typeof nonce !== 'string' || !HEX_32_BYTES.test(nonce)) {
      return this.#respond('400 Bad Request');
    }
    const answer = this.#options.session.answer(purpose, nonce);
    if (answer === undefined) return this.#respond('409 Conflict');
    this.#purpose = purpose;
    this.#nonces = answer.nonces;
    const version = purpose === 'session' ? { agent_version: AGENT_VERSION } : {};
    this.#respond('200 OK', { nonce: answer.nonces.guest, proof: answer.proof, ...version });
  }

  #takeSession(body: string): void {
    const { proof, share } = JSON.parse(body) as { proof?: unknown; share?: unknown };
    const nonces = this.#takeNonces('session');
    if (nonces === undefined || typeof proof !== 'string' || typeof share !== 'string' || !HEX_32_BYTES.test(share)
      || !this.#options.session.isHostProof('session', nonces, proof)) {
      this.#options.onFault(new Fault('refused', 'somebody offered a session without knowing the boot token'));
      return this.#respond('401 Unauthorized');
    }
    this.#admit();
    this.#respond('204 No Content');
    this.#options.session.accept(share, nonces);
  }

  #isProven(head: Head): boolean {
    const nonces = this.#takeNonces('call');
    const [scheme, proof = ''] = (head.headers.get('authorization') ?? '').split(' ');
    const proven = nonces !== undefined && scheme === PROOF_SCHEME
      && this.#options.session.isHostProof('call', nonces, proof);
    if (proven) this.#admit();
    return proven;
  }

  /** A proof is good for one request. */
  #takeNonces(purpose: Purpose): Nonces | undefined {
    const nonces = this.#purpose === purpose ? this.#nonces : undefined;
    this.#nonces = undefined;
    return nonces;
  }

  #respond(status: string, value?: unknown): void {
    const body = value === undefined ? new Uint8Array(0) : jsonBytes(value);
    const length = status.startsWith('204') ? {} : { 'Content-Length': body.byteLength };
    this.#connection.write(utf8Bytes(encodeHead(`HTTP/1.1 ${status}`, length)));
    this.#connection.write(body);
  }
}
