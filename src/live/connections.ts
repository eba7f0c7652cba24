// The open connections of one VM: who has proved the session, who is a stranger yet, and who has to go
// when there are too many.
import type { Socket } from 'node:net';
import type { RefusalReason } from './witness.ts';

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly strangerMs: number;
  readonly strangerRequestsMax: number;
}

interface Connection {
  readonly socket: Socket;
  /** Set while the connection is a stranger's. */
  timer: NodeJS.Timeout | undefined;
  /** Since the connection was opened, or last showed the session key. */
  strangerRequests: number;
}

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #refused: (reason: RefusalReason) => void;
  /** In the order in which they came. */
  readonly #open = new Map<Socket, Connection>();
  /** Whether a connection has shown the present session's key. */
  #wasUsed = false;

  constructor(limits: ConnectionLimits, refused: (reason: RefusalReason) => void) {
    this.#limits = limits;
    this.#refused = refused;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes a new connection, a stranger; at the cap the oldest other one is closed, strangers first. */
  add(socket: Socket): void {
    if (this.#open.size >= this.#limits.connectionsMax) this.#closeOldest();
    const connection: Connection = { socket, timer: undefined, strangerRequests: 0 };
    this.#open.set(socket, connection);
    this.#startTimer(connection);
    socket.on('close', () => {
      clearTimeout(connection.timer);
      this.#open.delete(socket);
    });
  }

  /** Whether the agent came with the present session, and no connection of it is left. */
  get hasAgentLeft(): boolean {
    return this.#wasUsed && ![...this.#open.values()].some(({ timer }) => timer === undefined);
  }

  /** The connection showed the session key. */
  authenticate(socket: Socket): void {
    this.#wasUsed = true;
    const connection = this.#open.get(socket);
    clearTimeout(connection?.timer);
    if (connection === undefined) return;
    connection.timer = undefined;
    connection.strangerRequests = 0;
  }

  /** A request without the session key. False when the connection has had its share of them, and was closed. */
  admitStranger(socket: Socket): boolean {
    const connection = this.#open.get(socket);
    if (connection === undefined) return false;
    connection.strangerRequests += 1;
    if (connection.strangerRequests <= this.#limits.strangerRequestsMax) return true;
    this.#refused('too_many_requests');
    socket.destroy();
    return false;
  }

  /** What no session key was shown on is closed, with all that waits there to be read. */
  closeStrangers(): void {
    for (const { socket, timer } of this.#open.values()) {
      if (timer !== undefined) socket.destroy();
    }
  }

  /** The agent gives its session up: the connection has to show the next key in time. */
  makeStranger(socket: Socket): void {
    const connection = this.#open.get(socket);
    if (connection !== undefined && connection.timer === undefined) this.#startTimer(connection);
  }

  /** Ends no connection that there is now for being a stranger's; a new session still ends them all. */
  keepOpen(): void {
    for (const connection of this.#open.values()) {
      clearTimeout(connection.timer);
      connection.timer = undefined;
    }
  }

  /** Closes what the session before was used on. */
  closeAuthenticated(): void {
    this.#wasUsed = false;
    for (const { socket, timer } of this.#open.values()) {
      if (timer === undefined) socket.destroy();
    }
  }

  /** Not the agent has left then: it comes back, or was not told. */
  closeAll(): void {
    this.#wasUsed = false;
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #startTimer(connection: Connection): void {
    connection.timer = setTimeout(() => {
      this.#refused('too_slow');
      connection.socket.destroy();
    }, this.#limits.strangerMs);
  }

  #closeOldest(): void {
    const all = [...this.#open.values()];
    const oldest = all.find(({ timer }) => timer !== undefined) ?? all[0];
    if (oldest === undefined) return;
    this.#refused('too_many_connections');
    clearTimeout(oldest.timer);
    this.#open.delete(oldest.socket);
    oldest.socket.destroy();
  }
}
