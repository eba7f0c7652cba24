// Every bound that keeps a hostile guest from costing more than its own service.

export interface Rate {
  /** How many at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface LiveLimits {
  /** Open connections of one VM. At the cap the oldest is closed, unauthenticated ones first. */
  readonly connectionsMax: number;
  /** How long a connection may be open without a request that carried the session key. */
  readonly strangerMs: number;
  /** Requests on one connection without the session key, since it was last shown there: an agent needs two. */
  readonly strangerRequestsMax: number;
  /** How long a request may take to arrive, its body included. A held poll has arrived. */
  readonly requestMs: number;
  /** How long an authenticated connection may be idle between requests. */
  readonly idleMs: number;
  /** A response must be taken within this time and at this speed. */
  readonly responseMs: number;
  readonly responseBytesPerSecond: number;
  /** How long an agent may say nothing after the answer to its poll before it is dialled; twice as long each time, and at most so long. */
  readonly silenceMs: number;
  readonly silenceMaxMs: number;
  /**
   * How long a call waits for a session where there is none: an agent that lost its host comes back within
   * seconds.
   */
  readonly sessionMs: number;
  /** From the dial of a guest until both sides have proved their key. */
  readonly handshakeMs: number;
  /** Dials of calls on which the agent has not taken the proof yet: it bears eight, and closes what comes on top. */
  readonly unprovenCallsMax: number;
  /** How long a call waits while so many others are dialled. */
  readonly turnMs: number;
  /** Calls at once, running commands among them: the agent bears 64 connections. */
  readonly callsMax: number;
  /** From a call on a proved connection until its answer; a running command has no limit. */
  readonly answerMs: number;
  /** Bytes of a command's output that wait for whoever reads them. */
  readonly outputBacklogBytes: number;
  readonly connections: Rate;
  readonly hellos: Rate;
  readonly requests: Rate;
  readonly reports: Rate;
  /** Bytes of archives that are packed for one VM; one that is kept costs nothing. */
  readonly packing: Rate;
  /** Lines in the host's log that a guest causes. */
  readonly logLines: Rate;
}

export const LIVE_LIMITS: LiveLimits = {
  connectionsMax: 32,
  strangerMs: 5_000,
  strangerRequestsMax: 8,
  requestMs: 15_000,
  idleMs: 75_000,
  responseMs: 60_000,
  responseBytesPerSecond: 16 * 1024,
  silenceMs: 5_000,
  silenceMaxMs: 20_000,
  sessionMs: 5_000,
  handshakeMs: 10_000,
  unprovenCallsMax: 4,
  turnMs: 20_000,
  callsMax: 48,
  answerMs: 10_000,
  outputBacklogBytes: 256 * 1024,
  connections: { burst: 128, perSecond: 64 },
  hellos: { burst: 5, perSecond: 1 },
  requests: { burst: 2_000, perSecond: 1_000 },
  reports: { burst: 50, perSecond: 10 },
  packing: { burst: 128 * 1024 * 1024, perSecond: 8 * 1024 * 1024 },
  logLines: { burst: 20, perSecond: 0.1 },
};
