// The sockets on which the host dialled one guest, and when they may be closed. vhost-device-vsock 0.3.0 ends
// its worker for good
//
// - when anything happens on the host's side, a close included, while the guest has set no queues up, as between
//   a reset and its next boot;
// - when the guest takes a connection that the host has closed meanwhile.
//
// What has to end then is left open, and closed later.
import type { Socket } from 'node:net';

/** The other connections of the same guest: those that it has to the host. */
export interface GuestConnections {
  readonly size: number;
  closeAll(): void;
}

/** A guest that takes connections answers them in milliseconds; one that is busy for minutes is dialled again and again. */
const UNANSWERED_MAX = 32;

export class AgentSockets {
  /** The VM's VSOCK socket. */
  readonly path: string;
  /** Whose it must be; undefined where nobody else can have made it, or it is not known. */
  readonly owner: number | undefined;
  readonly #guest: GuestConnections;
  readonly #left = new Set<Socket>();
  readonly #unanswered = new Set<Socket>();
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

  /** The same for a socket that has no answer to its CONNECT yet: it is closed when that is there, or by the guest. */
  abandon(socket: Socket): void {
    if (socket.destroyed) return;
    this.#unanswered.add(socket);
    socket.once('close', () => this.#unanswered.delete(socket));
    socket.once('data', () => this.end(socket));
    socket.resume();
  }

  /** Whether so many dials wait for an answer of a guest that gives none that there must be no other. */
  get isExhausted(): boolean {
    return this.#unanswered.size >= UNANSWERED_MAX;
  }

  /** The VM is not served any more. */
  close(): void {
    this.guestUp();
    for (const socket of this.#unanswered) socket.destroy();
  }

  guestDown(): void {
    this.#isGuestDown = true;
  }

  /** The guest was heard of, or nothing is left to spare. */
  guestUp(): void {
    // What the guest did not answer before its reset it never will.
    if (this.#isGuestDown) for (const socket of this.#unanswered) socket.destroy();
    this.#isGuestDown = false;
    for (const socket of this.#left) socket.destroy();
    this.#left.clear();
  }
}
