// What the live channel offers to the parts that own VMs: one `LiveVm` for each VM, from before its
// VMM starts until after it ended. Identity is the socket: a `LiveVm` serves exactly one VM.
import type { ReportedError, UserdataResult } from '../wire/protocol.ts';
import type { Grant } from '../secret/grant.ts';
import type { Secret } from '../secret/secret.ts';
import type { SecretName } from '../secret/name.ts';

/** A systemd credential that a VM gets over the live channel, made of one secret. */
export interface LiveCredential {
  /** As `isCredentialName` has it; once for each VM. */
  readonly name: string;
  readonly secret: SecretName;
  /** Whether one newline at the value's end is left out. */
  readonly trimNewline: boolean;
}

export interface LiveVmOptions {
  readonly hostname: string;
  /**
   * Path of the VM's VSOCK socket: the guest's connections to port P arrive at `PATH_P`, and the host
   * dials the guest through PATH with `CONNECT P`. The directory must exist and be private.
   */
  readonly vsockPath: string;
  /** The user that the VM's processes run as, where it is another: the sockets are for that one too. */
  readonly vmUid?: number | undefined;
  readonly grant: Grant;
  /** Sent whether or not the grant includes their secrets: each grants its secret in this form alone. */
  readonly credentials?: readonly LiveCredential[];
  /** Present where the VM has a boot channel; then no session is made without it. 64 hexadecimal digits. */
  readonly bootToken?: Secret;
  /** Handed out once per VM; absent when there is none or it was handed out before. */
  readonly userdata?: Uint8Array;
  /** Called before the script leaves the host: when it rejects, the script is not handed out. */
  readonly onUserdataClaimed?: () => Promise<void>;
  readonly onUserdataResult?: (result: UserdataResult) => Promise<void>;
}

/** Where one secret in one form stands in one VM. */
export interface SecretDelivery {
  readonly name: SecretName;
  /** The credential's name; absent for the file of a granted secret. */
  readonly credential?: string;
  /** `current`: the newest value is in the guest; `pending`: on its way; `failed`: the guest said why. */
  readonly state: 'current' | 'pending' | 'failed';
  /** When the guest confirmed the newest value, milliseconds since the epoch; for `current` only. */
  readonly sinceMs?: number;
  readonly error?: ReportedError;
}

export interface LiveStatus {
  /** Whether a session stands and the agent's poll is held or was answered within the last seconds. */
  readonly connected: boolean;
  /** Whether the first sync was confirmed since this VM was launched or adopted. */
  readonly synced: boolean;
  readonly deliveries: readonly SecretDelivery[];
  /** Faults that are not one secret's, from the guest's last report or the host's last dial. */
  readonly errors: readonly ReportedError[];
}

/** What there is to say of a VM without a look at each of its secrets. */
export interface LiveSummary extends Pick<LiveStatus, 'connected' | 'synced'> {
  /** Whether the guest holds the newest of all that it should. */
  readonly isCurrent: boolean;
  /** The release of the agent, once it has a session; undefined where it tells none. */
  readonly agentVersion: string | undefined;
}

export interface LiveVm {
  status(): LiveStatus;
  summary(): LiveSummary;
  /** What `status()` says is wrong with the deliveries of this secret, in any form. */
  faultsOf(name: SecretName): readonly ReportedError[];
  /** Resolves when the guest has confirmed a generation that includes all changes up to store counter `counter`. */
  whenHolds(counter: number, signal: AbortSignal): Promise<void>;
  /** Resolves when the first sync was confirmed. */
  whenSynced(signal: AbortSignal): Promise<void>;
  /** Called whenever `status()` may have changed. Returns how to stop. */
  onStatus(listener: () => void): () => void;
  /**
   * A connection to the agent on which both sides proved the session key; the caller sends one call on
   * it. Throws agent_not_ready (no session, and none within seconds), agent_unreachable, agent_protocol,
   * too_many_requests.
   */
  call(signal: AbortSignal): Promise<AgentCall>;
  /**
   * The guest's machine was reset. Its session is void, and until it says hello nothing is sent to it and
   * no connection of it is closed: vhost-device-vsock 0.3.0 ends its worker for good when anything happens
   * on the host's side while the guest has set no queues up.
   */
  guestReset(): void;
  /** Ends all connections and removes the sockets that were made. */
  close(): Promise<void>;
}

/** See protocol.ts, part 4. */
export interface AgentCall {
  health(): Promise<import('../wire/protocol.ts').Health>;
  exec(request: import('../wire/protocol.ts').ExecRequest): Promise<ExecSession>;
  close(): void;
}

/** A running command. Frames arrive in order; back-pressure is the connection's. */
export interface ExecSession {
  readonly frames: AsyncIterable<import('../wire/exec-frames.ts').Frame>;
  /** Resolves when the bytes were taken by the connection. */
  send(frame: import('../wire/exec-frames.ts').Frame): Promise<void>;
  close(): void;
}
