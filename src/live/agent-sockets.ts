// The sockets on which the host dialled one guest, and when they may be closed. vhost-device-vsock 0.3.0 ends
// its worker for good when anything happens on the host's side, a close included, while the guest has set no
// queues up, as between a reset and its next boot. What has to end then is left open, and closed later.
import type { Socket } from 'node:net';

/** The other connections of the same guest: those that it has to the host. */
export interface GuestConnections {
  readonly size: number;
  closeAll(): void;
}

export class AgentSockets {
  /** The VM's VSOCK socket. */
  readonly path: string;
  /** Whose it must be; undefined where nobody else can have made it, or it is not known. */
  readonly owner: number | undefined;
  readonly #guest: GuestConnections;
  readonly #left = new Set<Socket>();
  #isGuestDown = false;

  constructor(path: string, guest: GuestConnections, owner?: number) {
    this.path = path;
    this.owner = owner;
    this.#guest = guest;
  }

  get isGuestConnected(): boolean {
    return this.#guest.size > 0;
  }

  /** Ends what the guest has open to the host: its agent comes back by itself. */
  disconnectGuest(): void {
    this.#guest.closeAll();
  }

  get isGuestDown(): boolean {
    return this.#isGuestDown;
  }

  /** Nobody uses the socket any more; it has a listener for errors. */
  end(socket: Socket): void {
    if (!this.#isGuestDown || socket.destroyed) return void socket.destroy();
    this.#left.add(socket);
    socket.once('close', () => this.#left.delete(socket));
  }

  guestDown(): void {
    this.#isGuestDown = true;
  }

  /** The guest was heard of, or nothing is left to spare. */
  guestUp(): void {
    this.#isGuestDown = false;
    for (const socket of this.#left) socket.destroy();
    this.#left.clear();
  }
}
