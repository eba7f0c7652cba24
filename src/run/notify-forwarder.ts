// Where a guest's `vmm.notify_socket` leads: a Unix socket beside the VM's VSOCK, one message a connection.
// The guest is not trusted: connections, bytes and time are bounded, and what passes is notify-message.ts's
// question. Each connection is closed as soon as its message is there, since a guest's systemd waits for that:
// half-close does not reach the host through VSOCK.
import { createServer, type Server, type Socket } from 'node:net';
import { listenPrivately } from '../live/socket-listener.ts';
import { MESSAGE_MAX_BYTES, parseMessage, type GuestNotice } from './notify-message.ts';

/** As microvm.nix has it. */
export const NOTIFY_PORT = 8888;

const CONNECTIONS_MAX = 8;
/** A message is one write of the guest, which may still come in parts. */
const QUIET_MS = 50;
const MESSAGE_MS = 2_000;

export interface NotifyForwarder {
  close(): Promise<void>;
}

/** Listens at `<vsockPath>_8888`, for the VM's own user too where it has one. Throws already_running, invalid_request. */
export async function startNotifyForwarder(vsockPath: string, vmUid: number | undefined, onNotice: (notice: GuestNotice) => void): Promise<NotifyForwarder> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    // The oldest has had its time.
    if (open.size >= CONNECTIONS_MAX) [...open][0]?.destroy();
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    take(socket, onNotice);
  });
  await listenPrivately(server, `${vsockPath}_${NOTIFY_PORT}`, vmUid);
  return {
    close: async () => {
      for (const socket of open) socket.destroy();
      await closed(server);
    },
  };
}

function take(socket: Socket, onNotice: (notice: GuestNotice) => void): void {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let done = false;
  const finish = (): void => {
    if (done) return;
    done = true;
    clearTimeout(late);
    clearTimeout(quiet);
    socket.destroy();
    const notice = parseMessage(Buffer.concat(chunks));
    if (notice !== undefined) onNotice(notice);
  };
  const late = setTimeout(finish, MESSAGE_MS);
  let quiet: NodeJS.Timeout | undefined;
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    length += chunk.byteLength;
    if (length >= MESSAGE_MAX_BYTES) return finish();
    clearTimeout(quiet);
    quiet = setTimeout(finish, QUIET_MS);
  });
  socket.on('end', finish);
  socket.on('close', finish);
  // A guest that goes away is no fault of the host.
  socket.on('error', () => undefined);
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
