// The live channel of one VM: its secrets server, its session, and where its secrets stand. Which VM it
// is the socket says; nothing that comes over the socket does.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import { HOST_PORT } from '../wire/ports.ts';
import type { Report, ReportedError } from '../wire/protocol.ts';
import { Calls } from './calls.ts';
import type { AgentCall, LiveStatus, LiveSummary, LiveVm, LiveVmOptions } from './contract.ts';
import { withDeadline } from './deadline.ts';
import { Deliveries } from './deliveries.ts';
import type { LiveDependencies } from './dependencies.ts';
import { guestServer, type GuestServer } from './guest-server.ts';
import { ReportRoute } from './report-route.ts';
import { respondEmpty, respondError, respondTooMany } from './response.ts';
import { scopeOf, type Scope } from './scope.ts';
import type { SecretSource, SourceSnapshot } from './secret-source.ts';
import { SecretsRoute } from './secrets-route.ts';
import { notReady, SessionKeeper, wasReset, type ProvenConnection } from './session-keeper.ts';
import { PushTimer } from './push-timer.ts';
import { listenPrivately } from './socket-listener.ts';
import { Silence } from './silence.ts';
import { StatusListeners } from './status-listeners.ts';
import { TokenBucket } from './token-bucket.ts';
import { until } from './until.ts';
import { UserdataRoute } from './userdata-route.ts';
import { viewOf, type View } from './view.ts';
import { NO_WITNESS, type RefusalReason, type Witness } from './witness.ts';

/** How long after its last poll was answered an agent counts as connected: it applies what it got. */
const BETWEEN_POLLS_MS = 10_000;

const EPOCH_DIGITS = 16;

/**
 * Serves one VM from now on, and dials its agent once, in case it runs already. Throws already_running
 * when another process serves this VM, invalid_request when the socket can't be made.
 */
export async function startLiveVm(source: SecretSource, options: LiveVmOptions, dependencies: LiveDependencies): Promise<LiveVm> {
  const vm = new LiveVmServer(source, options, dependencies);
  await vm.listen();
  return vm;
}

class LiveVmServer implements LiveVm {
  readonly #options: LiveVmOptions;
  readonly #dependencies: LiveDependencies;
  readonly #witness: Witness;
  readonly #push: PushTimer;
  readonly #guest: GuestServer;
  readonly #session: SessionKeeper;
  readonly #secrets: SecretsRoute;
  readonly #userdata: UserdataRoute;
  readonly #report: ReportRoute;
  readonly #logRate: TokenBucket;
  readonly #silence: Silence;
  readonly #deliveries = new Deliveries();
  readonly #listeners = new StatusListeners();
  readonly #calls: Calls;
  readonly #stopListening: () => void;
  readonly #scope: Scope;
  #view: View;
  #lastPollEndMs = Number.NEGATIVE_INFINITY;
  #dialFault: ReportedError | undefined;
  /** Until the first dial is over: an adopted VM may not run, or its agent may have a session to make. */
  #quiet = true;
  #closed = false;

  constructor(source: SecretSource, options: LiveVmOptions, dependencies: LiveDependencies) {
    const { limits, archives, randomHex } = dependencies;
    const monotonicMs = (): number => performance.now();
    this.#options = options;
    this.#dependencies = dependencies;
    this.#witness = dependencies.witness ?? NO_WITNESS;
    const refused = (reason: RefusalReason): void => this.#refused(reason);
    this.#push = new PushTimer(monotonicMs);
    this.#scope = scopeOf(options.grant, options.credentials ?? []);
    this.#view = viewOf(source.snapshot(), this.#scope);
    this.#report = new ReportRoute({ limits, monotonicMs, onReport: (report) => this.#reported(report), onRefused: refused });
    this.#calls = new Calls(options.hostname, limits, (signal) => this.#prove(signal));
    this.#logRate = new TokenBucket(limits.logLines, monotonicMs);
    // Dialled, the agent looks whether what it waits for still comes.
    this.#silence = new Silence(limits, () => (this.#isAgentThere() ? void this.#session.offer() : this.#silence.end()));
    this.#userdata = new UserdataRoute(options, limits, refused);
    this.#secrets = new SecretsRoute({
      archives, limits, monotonicMs, view: () => this.#view,
      epoch: randomHex().slice(0, EPOCH_DIGITS),
      onHeld: (version) => {
        const seconds = version >= this.#view.version ? this.#push.confirmed() : undefined;
        if (seconds !== undefined) this.#witness.pushed(seconds);
        if (this.#deliveries.acknowledge(version, this.#view, dependencies.nowMs())) this.#changed();
      },
      onPollEnd: () => this.#pollEnded(),
      onRead: (items, version) => this.#witness.read(options.hostname, items, version),
      onRefused: refused,
      onFault: (error) => this.#internalFault(error),
    });
    this.#guest = guestServer({
      limits, monotonicMs, refused,
      key: () => this.#session.key,
      hello: (response) => this.#hello(response),
      serve: (route, request, response) => this.#serve(route, request, response),
    });
    this.#session = new SessionKeeper({
      vsockPath: options.vsockPath, vmUid: options.vmUid, bootToken: options.bootToken, limits, randomHex, monotonicMs,
      guestConnections: this.#guest.connections,
      onSession: () => this.#newSession(), onFault: (error) => this.#dialFailed(error),
    });
    this.#stopListening = source.onChange((snapshot) => this.#take(snapshot));
  }

  async listen(): Promise<void> {
    try {
      await listenPrivately(this.#guest.server, `${this.#options.vsockPath}_${HOST_PORT}`, this.#options.vmUid);
    } catch (error) {
      this.#stopListening();
      throw error;
    }
    void this.#session.offer().finally(() => (this.#quiet = false));
  }

  status(): LiveStatus {
    const { deliveries, errors } = this.#deliveries.status(this.#view);
    const { connected, synced } = this.summary();
    return { connected, synced, deliveries, errors: this.#dialFault === undefined ? errors : [...errors, this.#dialFault] };
  }

  summary(): LiveSummary {
    const polledLately = performance.now() - this.#lastPollEndMs < BETWEEN_POLLS_MS;
    return {
      connected: this.#session.key !== undefined && (this.#secrets.isPollHeld || polledLately),
      synced: this.#deliveries.synced,
      isCurrent: this.#deliveries.holds(this.#view.snapshot.counter, this.#view),
      agentVersion: this.#session.agentVersion,
    };
  }

  faultsOf(name: SecretName): readonly ReportedError[] {
    return this.#deliveries.faultsOf(name, this.#view);
  }

  whenHolds(counter: number, signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#deliveries.holds(counter, this.#view), signal);
  }

  whenSynced(signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#deliveries.synced, signal);
  }

  onStatus(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  call(signal: AbortSignal): Promise<AgentCall> {
    return this.#calls.begin(signal);
  }

  async #prove(signal: AbortSignal): Promise<ProvenConnection> {
    if (!this.#isAgentThere()) {
      await withDeadline(this.#dependencies.limits.sessionMs, notReady, [signal], (inTime) => this.#until(() => this.#isAgentThere(), inTime));
    }
    return this.#session.prove(signal);
  }

  /** An agent that has gone, as in a shutdown, is not dialled: see guestReset, which may come too late for that. */
  #isAgentThere(): boolean {
    return this.#session.key !== undefined && !this.#guest.connections.hasAgentLeft;
  }

  guestReset(): void {
    this.#silence.end();
    this.#session.guestReset();
    this.#secrets.abandonPoll();
    this.#guest.connections.keepOpen();
    this.#calls.end(wasReset());
    this.#log('info', 'the guest was reset');
    this.#changed();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    this.#silence.end();
    this.#session.close();
    this.#calls.end();
    const closed = new Promise<void>((resolve) => this.#guest.server.close(() => resolve()));
    this.#guest.connections.closeAll();
    this.#changed();
    await closed;
    this.#witness.ended(this.#options.hostname);
  }

  #take(snapshot: SourceSnapshot): void {
    const before = this.#view.version;
    this.#view = viewOf(snapshot, this.#scope);
    if (this.#view.version !== before && this.#secrets.isPollHeld) this.#push.changed();
    this.#secrets.wake();
    this.#changed();
  }

  #hello(response: ServerResponse): void {
    const { limits } = this.#dependencies;
    const waitMs = this.#session.hello();
    if (waitMs === 0) return respondEmpty(response, 202, limits);
    this.#refused('too_many_requests');
    respondTooMany(response, waitMs, limits);
  }

  #serve(route: string, request: IncomingMessage, response: ServerResponse): void {
    switch (route) {
      case 'GET /v1/secrets?wait': return this.#poll(request, response);
      case 'GET /v1/secrets': return this.#secrets.serve('now', request, response);
      case 'POST /v1/report': return this.#run(this.#report.serve(request, response), response);
      case 'POST /v1/userdata': return this.#run(this.#userdata.handOut(response), response);
      case 'PUT /v1/userdata': return this.#run(this.#userdata.takeResult(request, response), response);
      default:
        this.#refused('not_found');
        return respondError(response, 404, 'not_found', 'no such resource', this.#dependencies.limits);
    }
  }

  #poll(request: IncomingMessage, response: ServerResponse): void {
    const wasHeld = this.#secrets.isPollHeld;
    this.#silence.end();
    this.#dialFault = undefined; // The agent is there, and has its session.
    this.#secrets.serve('poll', request, response);
    if (!wasHeld && this.#secrets.isPollHeld) this.#changed();
  }

  #reported(report: Report): void {
    this.#silence.end();
    if (!this.#deliveries.report(report, this.#view)) this.#refused('not_granted');
    const [first] = report.errors;
    if (first !== undefined) this.#log('warn', 'the guest reports a failed sync', { ...first });
    this.#changed();
  }

  /** A fault of ours must not reach the guest as text, nor take the daemon down. */
  #run(work: Promise<void>, response: ServerResponse): void {
    work.catch((error: unknown) => {
      // The guest went away in the middle of its request.
      if (response.destroyed) return;
      this.#internalFault(error);
      respondError(response, 500, 'internal', 'the host failed; its log says why', this.#dependencies.limits);
    });
  }

  #newSession(): void {
    this.#log('info', 'the agent has a session');
    this.#dialFault = undefined;
    this.#deliveries.forget();
    this.#push.forget();
    this.#guest.connections.closeAuthenticated();
    this.#calls.end();
    this.#changed();
  }

  #dialFailed(error: Error): void {
    const code = error instanceof SlicerError ? error.code : 'internal';
    if (this.#quiet && code === 'agent_unreachable') return;
    if (code === 'agent_protocol') this.#refused('wrong_proof');
    this.#log('warn', error.message, { code });
    this.#dialFault = { code, message: error.message };
    this.#changed();
  }

  #refused(reason: RefusalReason): void {
    this.#witness.refused(this.#options.hostname, reason);
  }

  #internalFault(error: unknown): void {
    const message = error instanceof SlicerError ? error.message : (error as Error).name;
    this.#log('warn', `serving the guest failed: ${message}`);
  }

  #pollEnded(): void {
    this.#lastPollEndMs = performance.now();
    if (!this.#closed && !this.#secrets.hasPoll) this.#silence.begin();
    this.#changed();
  }

  /** What a guest can cause again and again is logged at a bounded rate. */
  #log(level: 'info' | 'warn', message: string, fields: object = {}): void {
    if (this.#logRate.take() === 0) this.#dependencies.log[level]({ vm: this.#options.hostname, ...fields }, message);
  }

  #changed(): void {
    this.#listeners.tell();
  }

  #until(isReached: () => boolean, signal: AbortSignal): Promise<void> {
    const isReachedWhileOpen = (): boolean => {
      if (isReached()) return true;
      if (!this.#closed || signal.aborted) return false;
      throw fail('vm_not_running', `vm "${this.#options.hostname}" is not served any more`);
    };
    return until(isReachedWhileOpen, (listener) => this.#listeners.add(listener), signal);
  }
}
