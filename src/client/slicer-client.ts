// The client of the REST API, and the only code that speaks to the daemon. Results are the API's own
// objects (src/api); errors are the daemon's, or daemon_unreachable.
import type { AuditRecord } from '../api/audit.ts';
import { formatDurationMs } from '../api/duration.ts';
import type { HostInfo } from '../api/host.ts';
import type { AttachBody, DeletedNode, HostGroup, LaunchBody, Node } from '../api/nodes.ts';
import type { ChangedSecret, CreateSecretBody, RemovedSecret, SecretInfo, StoreState, UpdateSecretBody } from '../api/secrets.ts';
import type { VmHealth, VmLogs, VmSecrets } from '../api/vm.ts';
import { fail } from '../errors/slicer-error.ts';
import { auditRecords } from './audit-stream.ts';
import type { Connection } from './discovery.ts';
import { type ExecEvent, execEvents } from './exec-stream.ts';
import { ANSWER_TIMEOUT_MS, requestJson, send } from './request.ts';
import {
  isChangedSecret, isDeletedNode, isHostGroup, isHostInfo, isNode, isRemovedSecret, isSecretInfo, isStoreState, isVmHealth, isVmLogs,
  isVmSecrets, listOf,
} from './shape.ts';

export interface ExecRequest {
  readonly command: readonly [string, ...string[]];
  /** Runs the words, joined by spaces, with `-c`. */
  readonly shell?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  /** NAME=VALUE */
  readonly env?: readonly string[];
  /** Without it the command reads /dev/null. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Ends the command by closing the connection. */
  readonly signal?: AbortSignal;
}

export interface AuditQuery {
  readonly vm?: string | undefined;
  readonly secret?: string | undefined;
  /** RFC 3339; only what is not older. */
  readonly since?: string | undefined;
  /** Goes on with what is still to come, until the iteration ends. */
  readonly follow?: boolean | undefined;
  readonly signal?: AbortSignal;
}

export interface LaunchOptions {
  readonly wait?: 'agent' | 'userdata';
  /** With `wait`; the daemon takes 30 s when absent. */
  readonly timeoutMs?: number;
}

export interface NodeFilter {
  readonly group?: string;
  readonly tag?: string;
  readonly tagPrefix?: string;
}

export type SlicerClient = ReturnType<typeof createClient>;

const DEFAULT_LAUNCH_WAIT_MS = 30_000;
/** A VM that is not there in time is cleaned up before the daemon answers; a launch builds what is missing. */
const LAUNCH_ANSWER_MS = 120_000;

/** Of a path. Even escaped, `..` would lead to another route (WHATWG URL, section 4.4). */
function segment(name: string): string {
  if (/^\.{0,2}$/.test(name)) throw fail('invalid_name', `"${name}" is no name`);
  return encodeURIComponent(name);
}

/** Opens nothing yet: every call is a connection of its own. `waitMs` is how long running VMs may take to follow a change. */
export function createClient(connection: Connection) {
  const change = (waitMs: number | undefined) =>
    waitMs === undefined
      ? {}
      : { query: { wait: formatDurationMs(waitMs) }, answerTimeoutMs: ANSWER_TIMEOUT_MS + waitMs };
  const vm = (hostname: string, what: string) => `/vm/${segment(hostname)}/${what}`;

  return {
    listSecrets: (): Promise<SecretInfo[]> => requestJson(connection, 'GET', '/secrets', listOf(isSecretInfo)),
    createSecret: (secret: CreateSecretBody, waitMs?: number): Promise<ChangedSecret> =>
      requestJson(connection, 'POST', '/secrets', isChangedSecret, { json: secret, ...change(waitMs) }),
    updateSecret: (name: string, secret: UpdateSecretBody, waitMs?: number): Promise<ChangedSecret> =>
      requestJson(connection, 'PATCH', `/secrets/${segment(name)}`, isChangedSecret, { json: secret, ...change(waitMs) }),
    removeSecret: (name: string, waitMs?: number): Promise<RemovedSecret> =>
      requestJson(connection, 'DELETE', `/secrets/${segment(name)}`, isRemovedSecret, change(waitMs)),
    storeState: (): Promise<StoreState> => requestJson(connection, 'GET', '/store', isStoreState),

    info: (): Promise<HostInfo> => requestJson(connection, 'GET', '/info', isHostInfo),

    /** Records of the audit log, oldest first. */
    async *audit({ signal, ...query }: AuditQuery = {}): AsyncGenerator<AuditRecord> {
      yield* auditRecords(await send(connection, 'GET', '/audit', { query, signal }));
    },

    listGroups: (): Promise<HostGroup[]> => requestJson(connection, 'GET', '/hostgroup', listOf(isHostGroup)),
    listNodes: ({ group, tag, tagPrefix }: NodeFilter = {}): Promise<Node[]> => {
      const path = group === undefined ? '/nodes' : `/hostgroup/${segment(group)}/nodes`;
      return requestJson(connection, 'GET', path, listOf(isNode), { query: { tag, tag_prefix: tagPrefix } });
    },
    launchNode: (group: string, body: LaunchBody, { wait, timeoutMs }: LaunchOptions = {}): Promise<Node> =>
      requestJson(connection, 'POST', `/hostgroup/${segment(group)}/nodes`, isNode, {
        json: body,
        query: { wait, timeout: timeoutMs === undefined ? undefined : formatDurationMs(timeoutMs) },
        answerTimeoutMs: LAUNCH_ANSWER_MS + (wait === undefined ? 0 : (timeoutMs ?? DEFAULT_LAUNCH_WAIT_MS)),
      }),
    attachNode: (body: AttachBody): Promise<Node> => requestJson(connection, 'POST', '/nodes', isNode, { json: body }),
    deleteNode: (hostname: string): Promise<DeletedNode> =>
      requestJson(connection, 'DELETE', `/nodes/${segment(hostname)}`, isDeletedNode, { answerTimeoutMs: LAUNCH_ANSWER_MS }),

    /** Of one VM. */
    vmSecrets: (hostname: string): Promise<VmSecrets> => requestJson(connection, 'GET', vm(hostname, 'secrets'), isVmSecrets),
    /** Of all VMs. */
    listNodeSecrets: (): Promise<VmSecrets[]> => requestJson(connection, 'GET', '/nodes/secrets', listOf(isVmSecrets)),
    /** `lines`: how many of the last, 0 for all. */
    vmLogs: (hostname: string, lines: number): Promise<VmLogs> =>
      requestJson(connection, 'GET', vm(hostname, 'logs'), isVmLogs, { query: { lines } }),
    vmHealth: (hostname: string): Promise<VmHealth> => requestJson(connection, 'GET', vm(hostname, 'health'), isVmHealth),

    /** The last event is `exit`. To stop early, end the iteration or abort: the daemon then ends the command. */
    async *exec(hostname: string, request: ExecRequest): AsyncGenerator<ExecEvent> {
      const [cmd, ...args] = request.command;
      const { shell, uid, gid, cwd, env, stdin, signal } = request;
      const response = await send(connection, 'POST', vm(hostname, 'exec'), {
        query: { cmd, args, shell, uid, gid, cwd, env, stdin: stdin !== undefined, stdio: 'base64' },
        ...(stdin === undefined ? {} : { body: stdin }),
        signal,
      });
      yield* execEvents(response);
    },
  };
}
