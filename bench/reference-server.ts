// The host's end of the reference client: an unauthenticated server on a VSOCK port of its own.
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

const PORT = 2000;

export interface ReferenceServer {
  /** Resolves with the connection of a guest program that announced itself with this word. */
  readonly announced: (word: 'RESPOND' | 'WITNESS') => Promise<Socket>;
  readonly close: () => void;
}

/** Serves the guest behind `vsockPath`. */
export async function serveReference(vsockPath: string): Promise<ReferenceServer> {
  const waiting = new Map<string, (socket: Socket) => void>();
  const arrived = new Map<string, Socket>();
  const server: Server = createServer((socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        const word = text.slice(0, end);
        text = text.slice(end + 1);
        if (word === 'PING') {
          socket.write('p');
        } else {
          arrived.set(word, socket);
          socket.removeAllListeners('data');
          waiting.get(word)?.(socket);
        }
      }
    });
  });
  // The VM's VSOCK process may be a user of its own; nobody else gets into the directory.
  server.listen({ path: `${vsockPath}_${PORT}`, writableAll: true });
  await once(server, 'listening');
  return {
    announced: (word) => new Promise((resolve) => {
      const socket = arrived.get(word);
      if (socket !== undefined) resolve(socket);
      else waiting.set(word, resolve);
    }),
    close: () => {
      server.close();
      for (const socket of arrived.values()) socket.destroy();
    },
  };
}
