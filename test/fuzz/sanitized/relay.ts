// The sanitized relay of agent/sys.c between the two sides that a target plays: the host dials `vm` and listens at
// `vm_901`, the guest dials `from-guest` and listens at `guest_900`.
import { chmodSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { startSanitized, type SanitizedProcess } from './program.ts';

export class SanitizedRelay {
  readonly #process: SanitizedProcess;
  /** Why it ended, when it has. */
  ended: string | undefined;
  /** Called with each connection that the relay makes: to the host, or to the guest. */
  onDialled: (socket: Socket) => void = () => undefined;

  private constructor(started: SanitizedProcess) {
    this.#process = started;
    void started.ended.then((said) => (this.ended = said));
  }

  static async start(): Promise<SanitizedRelay> {
    const started = await startSanitized('relay');
    const relay = new SanitizedRelay(started);
    const listen = async (name: string): Promise<Server> => {
      const server = createServer((socket) => relay.onDialled(socket)).listen(join(started.directory, name));
      await once(server, 'listening');
      // The relay is another user.
      chmodSync(join(started.directory, name), 0o777);
      return server.unref();
    };
    const servers = [await listen('vm_901'), await listen('guest_900')];
    void started.ended.then(() => servers.forEach((server) => server.close()));
    const out = started.child.stdout as unknown as Socket;
    out.ref();
    await Promise.race([once(out, 'data'), started.ended]);
    out.unref();
    return relay;
  }

  /** A connection of that side's. */
  dial(side: 'host' | 'guest'): Socket {
    return connect(join(this.#process.directory, side === 'host' ? 'vm' : 'from-guest'));
  }
}
