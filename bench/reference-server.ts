// The host's end of the reference client: an unauthenticated server on a VSOCK port of its own.
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

const PORT = 2000;
const LENGTH_BYTES = 8;

export interface ReferenceServer {
  /** Resolves with the connection of a guest program that announced itself with this word. */
  readonly announced: (word: 'RESPOND' | 'WITNESS') => Promise<Socket>;
  readonly close: () => void;
}

/** Serves `archives` by name to the guest behind `vsockPath`; an unknown name is an empty answer. */
export async function serveReference(vsockPath: string, archives: ReadonlyMap<string, Uint8Array>): Promise<ReferenceServer> {
  const waiting = new Map<string, (socket: Socket) => void>();
  const arrived = new Map<string, Socket>();
  const server: Server = createServer((socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        const [word = '', name = ''] = text.slice(0, end).split(' ');
        text = text.slice(end + 1);
        if (word === 'GET') {
          socket.write(answer(archives.get(name) ?? new Uint8Array(0)));
        } else {
          arrived.set(word, socket);
          socket.removeAllListeners('data');
          waiting.get(word)?.(socket);
        }
      }
    });
  });
  server.listen(`${vsockPath}_${PORT}`);
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

function answer(body: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(body.byteLength));
  return Buffer.concat([length, body]);
}
