// Records every byte between a host and a guest, connection by connection, in the order in which it came.
import type { Socket } from 'node:net';
import type { VsockDevice } from './vsock-device.ts';

/** Bytes, or what the host was told to do between them: a replay does it at the same place. */
export type Recorded = RecordedBytes | HostAction;

export type HostAction =
  | { readonly does: 'set'; readonly name: string; readonly value: string; readonly mode: number; readonly uid: number; readonly gid: number }
  | { readonly does: 'remove'; readonly name: string }
  /** Waits until the guest has confirmed all there is. */
  | { readonly does: 'wait' }
  | { readonly does: 'health' }
  | { readonly does: 'exec'; readonly argv: readonly string[] }
  /** To the command that runs; without text its stdin ends. */
  | { readonly does: 'stdin'; readonly text?: string };

export interface RecordedBytes {
  /** 1 for the first connection, and so on. */
  readonly connection: number;
  readonly from: 'host' | 'guest';
  /** What is text, such as a head with its JSON. */
  readonly text?: string;
  /** What is not, after the text. */
  readonly base64?: string;
}

export class Recording {
  readonly #pieces: (HostAction | { connection: number; from: 'host' | 'guest'; bytes: Buffer })[] = [];
  #connections = 0;

  /** Records what goes over this device from now on. */
  constructor(device: VsockDevice) {
    const dialHost = device.dialHost.bind(device);
    device.dialHost = async () => this.#tap(await dialHost());
    const agent = device.agent;
    device.agent = (socket, first) => {
      const tapped = this.#tap(socket, 'CONNECT 900\n', 'OK 1073741824\n');
      agent?.(tapped, first);
    };
  }

  /** What the host is told to do now. */
  note(action: HostAction): void {
    this.#pieces.push(action);
  }

  list(): Recorded[] {
    return this.#pieces.map((piece) => {
      if ('does' in piece) return piece;
      const { connection, from, bytes } = piece;
      const end = textEnd(bytes);
      return {
        connection, from,
        ...(end === 0 ? {} : { text: bytes.toString('latin1', 0, end) }),
        ...(end === bytes.byteLength ? {} : { base64: bytes.toString('base64', end) }),
      };
    });
  }

  /** `preamble`: what host and guest had said before. */
  #tap(socket: Socket, ...preamble: [string, string] | []): Socket {
    this.#connections += 1;
    const connection = this.#connections;
    const [host, guest] = preamble;
    if (host !== undefined) this.#add(connection, 'host', Buffer.from(host));
    if (guest !== undefined) this.#add(connection, 'guest', Buffer.from(guest));
    const write = socket.write.bind(socket);
    socket.write = ((bytes: Uint8Array | string, ...rest: []) => {
      this.#add(connection, 'guest', Buffer.from(bytes as string));
      return write(bytes, ...rest);
    }) as typeof socket.write;
    socket.on('data', (bytes) => this.#add(connection, 'host', bytes));
    return socket;
  }

  #add(connection: number, from: 'host' | 'guest', bytes: Buffer): void {
    const last = this.#pieces.at(-1);
    if (last !== undefined && 'bytes' in last && last.connection === connection && last.from === from) last.bytes = Buffer.concat([last.bytes, bytes]);
    else this.#pieces.push({ connection, from, bytes: Buffer.from(bytes) });
  }
}

/** A head, and a body that is text. */
function textEnd(bytes: Buffer): number {
  const binary = bytes.findIndex((byte) => byte !== 0x0d && byte !== 0x0a && (byte < 0x20 || byte > 0x7e));
  if (binary === -1) return bytes.byteLength;
  const head = bytes.lastIndexOf('\r\n\r\n', binary);
  return head === -1 ? 0 : head + 4;
}
