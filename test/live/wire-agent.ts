// A small agent that speaks the live channel as docs/wire.md tells it, over the sockets of a VSOCK
// device. It keeps what it receives in memory, and lets a test say anything to the host in between.
import { createHmac } from 'node:crypto';
import type { Socket } from 'node:net';
import { randomHex } from '../../src/live/dependencies.ts';
import { encodeFrame, FRAME, FrameReader, type Frame } from '../../src/wire/exec-frames.ts';
import { asciiBytes, encodeHead, MessageReader, requestLineOf, type Head } from '../../src/wire/http.ts';
import { guestProof, hostProof, sessionKey, type Nonces, type Purpose } from '../../src/wire/proof.ts';
import {
  DELTA_FORMAT, PROOF_SCHEME, WHITEOUT_PREFIX, type Challenge, type ExecRequest, type Health, type SessionOffer,
} from '../../src/wire/protocol.ts';
import { TarReader, type TarEntry } from '../../src/wire/tar.ts';
import { HostConnection, type HostResponse } from './host-connection.ts';
import type { VsockDevice } from './vsock-device.ts';

export interface HeldFile {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly bytes: Buffer;
}

const hmac = (key: string, text: string): string =>
  createHmac('sha256', Buffer.from(key, 'latin1')).update(text, 'latin1').digest('hex');

/** What the agent's end of a call does with a command: sends frames, and gets the host's. */
export type RunCommand = (request: ExecRequest, send: (frame: Frame) => boolean, socket: Socket) => (frame: Frame) => void;

export class WireAgent {
  readonly device: VsockDevice;
  readonly held = new Map<string, HeldFile>();
  /** ETag of what is held. */
  generation: string | undefined;
  sessionKey: string | undefined;
  /** Requests that the host made, `METHOD target`. */
  readonly requested: string[] = [];
  /** Whether an offered session is taken: an agent wants one after it said hello. */
  wantsSession = false;
  runCommand: RunCommand = () => () => {};
  health: Health = { agent_version: '1.0', agent_uptime: 1, system_uptime: 2, userdata_ran: false };
  /** Where its nonces come from. */
  randomHex = randomHex;
  /** Changes an answer before it goes out; for agents that lie. */
  tamper: (answer: Record<string, string>) => Record<string, unknown> = (answer) => answer;
  readonly #token: string;
  readonly #watchers = new Set<(line: string) => void>();
  #offered = (): void => {};
  #connection: HostConnection | undefined;

  constructor(device: VsockDevice, token = '') {
    this.device = device;
    this.#token = token;
    device.agent = (socket, first) => this.#serve(socket, first);
  }

  /** Part 1 and 2: asks for a session and waits until the host has offered one. */
  async establish(): Promise<void> {
    const offered = new Promise<void>((resolve) => (this.#offered = resolve));
    this.wantsSession = true;
    const { status } = await (await this.connection()).request('POST /v1/hello');
    if (status !== 202) throw new Error(`the host answered a hello with ${status}`);
    await offered;
  }

  /** Resolves when the host next makes this request and the agent answered it. */
  saw(line: string): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (seen: string): void => {
        if (seen !== line) return;
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }

  async connection(): Promise<HostConnection> {
    if (this.#connection === undefined || this.#connection.socket.destroyed) {
      this.#connection = new HostConnection(await this.device.dialHost());
    }
    return this.#connection;
  }

  /** Part 3: a request that shows the session key. */
  async request(line: string, headers: Readonly<Record<string, string>> = {}, body?: Uint8Array | object): Promise<HostResponse> {
    return (await this.connection()).request(line, { Authorization: `Bearer ${this.sessionKey}`, ...headers }, body);
  }

  /** Asks for the secrets, with `wait` once they changed, and takes what comes. Returns the status. */
  async sync(wait = false): Promise<number> {
    const known = this.generation === undefined ? {} : { 'If-None-Match': this.generation, 'A-IM': DELTA_FORMAT };
    const response = await this.request(`GET /v1/secrets${wait ? '?wait' : ''}`, known);
    if (response.status === 200 || response.status === 226) this.#take(response);
    return response.status;
  }

  close(): void {
    this.#connection?.close();
  }

  #take({ status, headers, body }: HostResponse): void {
    if (status === 226 && headers.get('delta-base') !== this.generation) throw new Error('a difference to another generation');
    if (status === 200) this.held.clear();
    for (const [name, file] of readArchive(body)) {
      if (name.startsWith(WHITEOUT_PREFIX)) this.held.delete(name.slice(WHITEOUT_PREFIX.length));
      else this.held.set(name, file);
    }
    this.generation = headers.get('etag');
  }

  #serve(socket: Socket, first: Buffer): void {
    let nonces: Nonces | undefined;
    const answer = (status: string, value?: object): void => {
      const body = value === undefined ? '' : JSON.stringify(value);
      const length = status.startsWith('204') ? {} : { 'Content-Length': Buffer.byteLength(body) };
      socket.write(encodeHead(`HTTP/1.1 ${status}`, length) + body);
    };
    const challenge = ({ purpose, nonce }: Challenge): void => {
      const key = this.#keyFor(purpose);
      if (key === undefined) return answer('409 Conflict');
      nonces = { host: nonce, guest: this.randomHex() };
      answer('200 OK', this.tamper({ nonce: nonces.guest, proof: guestProof(hmac, key, purpose, nonces) }));
    };
    const takeSession = ({ proof, share }: SessionOffer): void => {
      if (nonces === undefined || proof !== hostProof(hmac, this.#token, 'session', nonces)) return answer('401 Unauthorized');
      this.sessionKey = sessionKey(hmac, this.#token, share, nonces);
      this.wantsSession = false;
      answer('204 No Content');
      this.#offered();
    };
    const isProven = (head: Head): boolean => nonces !== undefined && this.sessionKey !== undefined
      && head.headers.get('authorization') === `${PROOF_SCHEME} ${hostProof(hmac, this.sessionKey, 'call', nonces)}`;
    const route = (head: Head, body: string): void => {
      const { method, target } = requestLineOf(head);
      this.requested.push(`${method} ${target}`);
      if (target === '/v1/challenge') return challenge(JSON.parse(body) as Challenge);
      if (target === '/v1/session') return takeSession(JSON.parse(body) as SessionOffer);
      if (!isProven(head)) return answer('401 Unauthorized');
      if (target === '/v1/health') return answer('200 OK', this.health);
      socket.write(encodeHead('HTTP/1.1 101 Switching Protocols', { Upgrade: 'slicer-exec' }));
      const send = ({ type, payload }: Frame): boolean => socket.write(encodeFrame(type, payload));
      const take = this.runCommand(JSON.parse(body) as ExecRequest, send, socket);
      const frames = new FrameReader(take);
      reader.switchTo((rest) => frames.push(rest));
    };
    let head: Head;
    let body = '';
    const reader: MessageReader = new MessageReader({
      onHead: (received) => {
        head = received;
        body = '';
      },
      onBody: (chunk) => {
        body += Buffer.from(chunk).toString('latin1');
      },
      onEnd: () => {
        route(head, Buffer.from(body, 'latin1').toString());
        const { method, target } = requestLineOf(head);
        for (const watcher of this.#watchers) watcher(`${method} ${target}`);
      },
    });
    socket.on('data', (chunk) => reader.push(chunk));
    if (first.byteLength > 0) reader.push(first);
  }

  #keyFor(purpose: Purpose): string | undefined {
    if (purpose === 'call') return this.sessionKey;
    return this.wantsSession ? this.#token : undefined;
  }
}

export function readArchive(archive: Uint8Array): Map<string, HeldFile> {
  const files = new Map<string, HeldFile>();
  let entry: TarEntry | undefined;
  let chunks: Uint8Array[] = [];
  const reader = new TarReader({
    onEntry: (next) => {
      entry = next;
      chunks = [];
    },
    onData: (chunk) => void chunks.push(chunk.slice()),
    onEntryEnd: () => {
      const { name, mode, uid, gid } = entry as TarEntry;
      if (files.has(name)) throw new Error(`the archive has ${name} twice`);
      files.set(name, { mode, uid, gid, bytes: Buffer.concat(chunks) });
    },
  });
  reader.push(archive);
  reader.end();
  return files;
}

/** Text as the payload of a frame. */
export const payload = (text: string): Uint8Array => asciiBytes(text);

export { FRAME };
