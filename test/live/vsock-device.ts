// The host's end of a VSOCK device as Firecracker, Cloud Hypervisor and vhost-device-vsock have it: a
// Unix socket on which the host asks for a port of the guest, and one `PATH_PORT` for each port of the
// host. The guest here is a function that takes the connections to port 900.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { AGENT_PORT, HOST_PORT } from '../../src/wire/ports.ts';

const ASKED_MAX_BYTES = 64;

export class VsockDevice {
  readonly path: string;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** Takes connections that the host dials; nobody listens in the guest while it is undefined. */
  agent: ((socket: Socket, first: Buffer) => void) | undefined;
  #dialled: () => void = () => {};

  private constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => this.#take(socket));
  }

  static async listen(path: string): Promise<VsockDevice> {
    const device = new VsockDevice(path);
    device.#server.listen(path);
    await once(device.#server, 'listening');
    return device;
  }

  /** The guest's connection to the host's secrets server. */
  async dialHost(): Promise<Socket> {
    const socket = connect(`${this.path}_${HOST_PORT}`);
    this.#keep(socket);
    await once(socket, 'connect');
    return socket;
  }

  /** Resolves when the host next dials the guest. */
  nextDial(): Promise<void> {
    return new Promise((resolve) => (this.#dialled = resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#open.delete(socket));
  }

  #take(socket: Socket): void {
    this.#keep(socket);
    let asked = '';
    const onData = (chunk: Buffer): void => {
      const end = chunk.indexOf(0x0a) + 1;
      asked += chunk.toString('latin1', 0, end === 0 ? chunk.byteLength : end);
      if (end === 0) {
        if (asked.length > ASKED_MAX_BYTES) socket.destroy();
        return;
      }
      socket.off('data', onData);
      this.#dialled();
      if (asked !== `CONNECT ${AGENT_PORT}\n` || this.agent === undefined) {
        socket.destroy();
        return;
      }
      socket.write('OK 1073741824\n');
      this.agent(socket, chunk.subarray(end));
    };
    socket.on('data', onData);
  }
}
