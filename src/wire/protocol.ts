// The live channel, version 1. This file is the contract; docs/wire.md tells it as prose.
//
// Transport: VSOCK. Every connection carries HTTP/1.1 (RFC 9112) in a narrow form: a message has a
// Content-Length or no body, never a chunked one; a head has at most 8 KiB; nothing depends on
// half-close. Header names are compared without regard to case.
//
// 1. The guest dials, host port 901. Unauthenticated, one request is served:
//
//      POST /v1/hello                      -> 202: the host will dial the agent now
//                                             429 Retry-After: SECONDS: it will then, hellos come too fast
//
// 2. The host dials, guest port 900, and both sides prove that they know the key (proof.ts). For a new
//    session the key is the boot token, or the empty string for a VM without a boot channel:
//
//      POST /v1/challenge {"purpose":"session","nonce":NH}
//                                          -> 200 {"nonce":NG,"proof":P}
//                                             409: the agent asked for no session; it keeps the one it has
//      PUT  /v1/session   {"proof":P,"share":S}
//                                          -> 204; the session key follows from NH, NG, S and the token
//                                             and replaces the one before on both sides
//
// 3. The guest's further requests to the host carry `Authorization: Bearer SESSION-KEY`; without the
//    right one the answer is 401 and the agent starts again at 1:
//
//      GET  /v1/secrets                    -> 200 tar of all that the VM is granted, ETag: "EPOCH.COUNTER"
//           If-None-Match: "EPOCH.COUNTER" -> 304 when that is what the VM should hold
//           A-IM: slicer-tar               -> 226 (RFC 3229) tar of what changed since, IM: slicer-tar,
//                                             Delta-Base: "EPOCH.COUNTER"; `.wh.NAME` means removed;
//                                             `.cred.NAME` is a credential (`.wh..cred.NAME`: removed)
//      GET  /v1/secrets?wait               -> the same, answered only once the generation differs
//      POST /v1/report    Report           -> 204
//      POST /v1/userdata                   -> 200 the script, handed out once; 204 there is none (any more)
//      PUT  /v1/userdata  UserdataResult   -> 204
//
//    If-None-Match on GET /v1/secrets is also the acknowledgement: the guest holds that generation.
//
// 4. The host's calls. It dials guest port 900, the proofs are made with the session key, and one call
//    follows on that connection:
//
//      POST /v1/challenge {"purpose":"call","nonce":NH}
//                                          -> 200 {"nonce":NG,"proof":P}
//      GET  /v1/health                     -> 200 Health
//      POST /v1/exec      ExecRequest      -> 101, then exec frames in both directions (exec-frames.ts)
//
//    Both carry `Authorization: Slicer-Proof P`.
//
// Errors are JSON: {"error":"...","code":"..."}.

/** A head (start line and headers) of more bytes than this ends the connection. */
export const HEAD_MAX_BYTES = 8192;

/** Largest JSON body that either side reads. */
export const JSON_MAX_BYTES = 256 * 1024;

/** Largest userdata script. */
export const USERDATA_MAX_BYTES = 256 * 1024;

/** Bytes of userdata output that the guest keeps and reports: the last ones. */
export const USERDATA_OUTPUT_MAX_BYTES = 16 * 1024;

export const DELTA_FORMAT = 'slicer-tar';
export const WHITEOUT_PREFIX = '.wh.';
/**
 * An entry `.cred.NAME` is not a secret's file but the systemd credential NAME, for a VM without a boot
 * channel: it goes to /run/credstore. Its whiteout is `.wh..cred.NAME`. NAME: credential-name.ts.
 */
export const CREDENTIAL_PREFIX = '.cred.';
export const PROOF_SCHEME = 'Slicer-Proof';

export interface Challenge {
  readonly purpose: 'session' | 'call';
  readonly nonce: string;
}

export interface ChallengeAnswer {
  readonly nonce: string;
  readonly proof: string;
  /** The agent's release, in an answer for a session; for people alone. May be left out. */
  readonly agent_version?: string | undefined;
}

export interface SessionOffer {
  readonly proof: string;
  readonly share: string;
}

/** Why a guest could not hold what it was given. `name` is absent when the fault is not one secret's. */
export interface ReportedError {
  readonly name?: string;
  /** An errno name such as `ENOSPC`, or `protocol`. */
  readonly code: string;
  readonly message: string;
}

/** Sent after a sync that failed, and once more with no errors when it is mended. */
export interface Report {
  /** The ETag of the generation that the guest could not reach, or holds now. */
  readonly generation: string;
  readonly errors: readonly ReportedError[];
}

export interface UserdataResult {
  /** Exit code, or 128 + the signal's number. */
  readonly exit_code: number;
  /** The last bytes of stdout and stderr together, as UTF-8 with replacement characters. */
  readonly output: string;
}

export interface Health {
  readonly agent_version: string;
  /** Seconds. */
  readonly agent_uptime: number;
  readonly system_uptime: number;
  readonly userdata_ran: boolean;
}

export interface ExecRequest {
  /** Program and arguments; the program is looked up in PATH when it has no slash. */
  readonly argv: readonly string[];
  readonly uid: number;
  /** Absent: the primary group that the guest's /etc/passwd gives the uid, else the uid's number. */
  readonly gid?: number;
  readonly cwd?: string;
  /** NAME=VALUE; added to HOME, PATH, USER, LOGNAME and SHELL. */
  readonly env: readonly string[];
  /** Whether the host will send stdin frames; without it the command reads /dev/null. */
  readonly stdin: boolean;
}
