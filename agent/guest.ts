// The running agent: syncs, runs userdata once, then stays. It holds the files when the host goes away,
// comes back to it with jittered back-off, and never wakes up while nothing happens.
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import type { Health } from '../src/wire/protocol.ts';
import { serveControl, type AgentStatus } from './control.ts';
import { toFault, Fault } from './fault.ts';
import { serveHostCalls } from './host-calls.ts';
import { HeldPoll } from './held-poll.ts';
import { HostClient, type HostRequest, type HostResponse } from './host-client.ts';
import { log } from './log.ts';
import { titleOf } from './outcome.ts';
import { Places } from './places.ts';
import { notifyManager } from './service-manager.ts';
import type { StartProgram } from './program.ts';
import { Session } from './session.ts';
import { SessionCheck, type Standing } from './session-check.ts';
import { Sync, type SyncResult } from './sync.ts';
import { findBootToken } from './system-credential.ts';
import type { Transport } from './transport.ts';
import { runUserdata } from './userdata.ts';
import { AGENT_VERSION } from './version.ts';

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 10_000;
const ALTERATION_SETTLE_MS = 50;
const ASK_AGAIN_MS = 1000;
/** Longer than the host takes for any answer that it has no reason to hold. */
const SILENCE_MAX_MS = 60_000;
const CHECK_SILENCE_MAX_MS = 5000;
/** No session yet, too many requests, a fault of the host's. */
const ASK_AGAIN_STATUSES = [401, 429, 500];

export interface GuestOptions {
  readonly transport: Transport;
  readonly secretsPath: string;
  readonly credstorePath: string;
  /** Whether userdata waits until somebody asks for it over the control socket. */
  readonly holdUserdata: boolean;
  /** How commands and userdata are started. */
  readonly start: StartProgram;
}

export class Guest {
  readonly #transport: Transport;
  readonly #start: StartProgram;
  readonly #places: Places;
  readonly #session = new Session(findBootToken());
  readonly #sync: Sync;
  readonly #poll: HeldPoll;
  readonly #requestClient: HostClient;
  readonly #startedMs = os.now();
  #problem: Fault | undefined;
  #connected = false;
  #userdataRan = false;
  #backoffMs = BACKOFF_MIN_MS;
  /** Ends the wait before the next attempt. */
  #wake: () => void = () => undefined;
  /** Userdata waits for it. */
  readonly #mayRunUserdata = new Gate();
  readonly #userdataEnded = new Gate();
  /** What the service manager was told last. */
  #told: string | undefined;

  constructor({ transport, secretsPath, credstorePath, holdUserdata, start }: GuestOptions) {
    this.#transport = transport;
    this.#start = start;
    this.#places = new Places(secretsPath, credstorePath);
    this.#sync = new Sync(this.#places, this.#session);
    if (!holdUserdata) this.#mayRunUserdata.open();
    this.#poll = new HeldPoll(this.#sync, transport.dialHost);
    this.#requestClient = new HostClient(transport.dialHost, SILENCE_MAX_MS);
  }

  /** One sync without a running agent: a session of its own, which ends with the process. */
  async syncOnce(): Promise<SyncResult> {
    this.#listen();
    await this.#session.establish(this.#requestClient);
    return this.#sync.now(this.#requestClient);
  }

  /** Runs until the process ends. */
  async run(): Promise<never> {
    serveControl(this.#places.secrets.directory.statePath, {
      sync: () => this.#syncOnRequest(),
      status: () => this.#status(),
      userdata: () => this.#userdataOnRequest(),
    });
    await this.#untilListening();
    this.#session.onTaken = () => this.#sessionTaken();
    const check = new SessionCheck({
      ask: () => this.#standing(),
      onRefused: () => this.#sessionRefused(),
      pollSilentMs: () => this.#poll.client.silentMs,
      onLost: () => this.#poll.giveUp(),
    });
    this.#session.onRefused = () => void check.begin();
    this.#places.onOpened = ({ directory }) => this.#watch(directory.path);
    for (const { directory } of this.#places.opened) this.#watch(directory.path);
    let first = true;
    for (;;) {
      try {
        if (!this.#session.established) await this.#session.establish(this.#poll.client);
        if (!await this.#poll.answered()) continue;
        this.#succeeded();
        if (first && this.#sync.generation !== undefined) {
          first = false;
          log(`holds ${this.#held()} in ${this.#places.secrets.directory.path}`);
          void this.#userdata();
        }
        this.#tell(`holds ${this.#held()}`);
      } catch (error) {
        await this.#failed(toFault(error));
      }
    }
  }

  /** What is held, for people. */
  #held(): string {
    const credentials = this.#places.credentialCount;
    return `${this.#places.count - credentials} secrets${credentials === 0 ? '' : ` and ${credentials} credentials`}`;
  }

  /** Tells the service manager, if there is one; it is ready from the first sync on. */
  #tell(status: string): void {
    if (status === this.#told) return;
    notifyManager(this.#sync.generation !== undefined, status);
    this.#told = status;
  }

  #listen(): void {
    serveHostCalls({
      transport: this.#transport,
      session: this.#session,
      health: () => this.#health(),
      start: this.#start,
      onFault: (fault) => log(`a connection to the agent: ${fault.message}`),
    });
  }

  /** Somebody else may hold the port; the agent can do nothing without it. */
  async #untilListening(): Promise<void> {
    for (;;) {
      try {
        return this.#listen();
      } catch (error) {
        await this.#failed(toFault(error));
      }
    }
  }

  async #syncOnRequest(): Promise<SyncResult> {
    try {
      if (!this.#session.established) await this.#session.establish(this.#requestClient);
      const result = await this.#sync.now(this.#requestClient);
      this.#succeeded();
      return result;
    } catch (error) {
      const fault = toFault(error);
      if (fault.code === 'unauthorized') this.#session.forget();
      this.#problem = fault;
      throw fault;
    }
  }

  /** A host that is back has offered a session: whatever was under way to the one before is in vain. */
  #sessionTaken(): void {
    this.#backoffMs = BACKOFF_MIN_MS;
    this.#poll.client.close();
    this.#wake();
  }

  #standing(): Promise<Standing> {
    const client = new HostClient(this.#transport.dialHost, CHECK_SILENCE_MAX_MS);
    return this.#sync.standing(client).finally(() => client.close());
  }

  #sessionRefused(): void {
    this.#session.forget();
    this.#poll.client.close();
    this.#wake();
  }

  #succeeded(): void {
    this.#connected = true;
    this.#session.confirm();
    this.#backoffMs = BACKOFF_MIN_MS;
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    log('all secrets are in place again');
    void this.#sync.report(this.#requestClient, undefined).catch(() => undefined);
  }

  /** Waits before the next attempt: twice as long each time, and between half and all of that. */
  async #failed(fault: Fault): Promise<void> {
    this.#connected = false;
    if (fault.code === 'unauthorized') {
      // The host restarted: nothing is wrong, a new session mends it.
      this.#session.forget();
    } else {
      const about = fault.secretName === undefined ? '' : `${titleOf(fault.secretName)}: `;
      if (fault.message !== this.#problem?.message) log(`${about}${fault.message}`);
      this.#tell(`${about}${fault.message}`);
      this.#problem = fault;
    }
    if (fault.secretName === undefined) this.#session.lose();
    else await this.#sync.report(this.#requestClient, fault).catch(() => undefined);
    const delayMs = this.#backoffMs * (0.5 + Math.random() / 2);
    this.#backoffMs = Math.min(2 * this.#backoffMs, BACKOFF_MAX_MS);
    await new Promise<void>((resolve) => {
      const timer = os.setTimeout(resolve, delayMs);
      this.#wake = () => {
        os.clearTimeout(timer);
        resolve();
      };
    });
  }

  async #userdata(): Promise<void> {
    await this.#mayRunUserdata.opened;
    this.#userdataRan = await runUserdata((request) => this.#askUntilAnswered(request), this.#places.secrets.directory, this.#start);
    this.#userdataEnded.open();
  }

  /** Userdata is due, as soon as there was a first sync. Resolves when it has ended, and whether it ran. */
  async #userdataOnRequest(): Promise<boolean> {
    this.#mayRunUserdata.open();
    await this.#userdataEnded.opened;
    return this.#userdataRan;
  }

  /** The run loop makes a new session where one is needed; this only waits for it. */
  async #askUntilAnswered(request: HostRequest): Promise<HostResponse> {
    for (;;) {
      const response = await this.#requestClient
        .request({ ...request, headers: this.#session.authorization() })
        .catch(() => undefined);
      if (response !== undefined && !ASK_AGAIN_STATUSES.includes(response.status)) return response;
      await new Promise<void>((resolve) => os.setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  /** Restores what somebody in the guest altered. The agent's own changes wake it too, and cost a look. */
  #watch(path: string): void {
    const fd = sys.watchDirectory(path);
    const events = new Uint8Array(16 * 1024);
    let timer: object | undefined;
    os.setReadHandler(fd, () => {
      while (sys.read(fd, events) > 0);
      timer ??= os.setTimeout(() => {
        timer = undefined;
        this.#sync.restore(this.#requestClient).catch((error) => log(`restoring: ${toFault(error).message}`));
      }, ALTERATION_SETTLE_MS);
    });
  }

  #health(): Health {
    return {
      agent_version: AGENT_VERSION,
      agent_uptime: (os.now() - this.#startedMs) / 1000,
      system_uptime: systemUptimeSeconds(),
      userdata_ran: this.#userdataRan,
    };
  }

  #status(): AgentStatus {
    return {
      version: AGENT_VERSION,
      connected: this.#connected,
      generation: this.#sync.generation,
      secrets: this.#places.secrets.holdings.names.length,
      credentials: this.#places.credentialCount,
      uptimeSeconds: (os.now() - this.#startedMs) / 1000,
      problem: this.#problem?.message,
    };
  }
}

/** proc_uptime(5). Files of /proc have no size, so that `loadFile` finds nothing in them. */
function systemUptimeSeconds(): number {
  const file = std.open('/proc/uptime', 'r');
  const line = file?.getline() ?? '0';
  file?.close();
  return Number(line.split(' ')[0]);
}

/** Opens once, for all who wait. */
class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => undefined;

  constructor() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
}
