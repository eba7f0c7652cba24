// Cheap checks of what the daemon answers. The schemas of src/api are the contract; loading them would
// take longer than most commands do, and a test holds the two together.
import type { AuditRecord } from '../api/audit.ts';
import type { HostInfo } from '../api/host.ts';
import type { DeletedNode, HostGroup, Node } from '../api/nodes.ts';
import type { ChangedSecret, Delivery, RemovedSecret, SecretInfo, SkippedFile, StoreState } from '../api/secrets.ts';
import type { VmHealth, VmLogs, VmSecret, VmSecrets } from '../api/vm.ts';

type Guard<T> = (value: unknown) => value is T;

const isString = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => typeof value === 'number';
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';

/** Fields that are not listed here are not looked at. */
const shape =
  <T extends object>(fields: { [Key in keyof T]-?: Guard<T[Key]> }): Guard<T> =>
  (value): value is T =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries<Guard<unknown>>(fields).every(([name, guard]) => guard((value as Record<string, unknown>)[name]));

const optional =
  <T>(guard: Guard<T>): Guard<T | undefined> =>
  (value): value is T | undefined => value === undefined || guard(value);

const oneOf =
  <const T extends string>(...words: T[]): Guard<T> =>
  (value): value is T => words.includes(value as T);

export const listOf =
  <T>(guard: Guard<T>): Guard<T[]> =>
  (value): value is T[] => Array.isArray(value) && value.every(guard);

const isGrant = (value: unknown): value is Node['secrets'] => value === 'all' || listOf(isString)(value);

const secretFields = {
  name: isString, size: isNumber, permissions: isString, uid: isNumber, gid: isNumber, mod_time: isString, modified_at: isString,
};
const isDelivery = shape<Delivery>({ holding: isNumber, running: isNumber, pending: listOf(isString) });
export const isSecretInfo = shape<SecretInfo>(secretFields);
export const isChangedSecret = shape<ChangedSecret>({ ...secretFields, delivery: optional(isDelivery) });
export const isRemovedSecret = shape<RemovedSecret>({ name: isString, delivery: optional(isDelivery) });
export const isStoreState = shape<StoreState>({
  skipped: listOf(shape<SkippedFile>({ file: isString, reason: isString })),
  problem: optional(isString),
});

export const isHostInfo = shape<HostInfo>({
  version: isString, git_commit: isString, platform: oneOf('linux'), arch: oneOf('amd64', 'arm64'),
});

export const isHostGroup = shape<HostGroup>({
  name: isString, count: isNumber, ram_bytes: isNumber, cpus: isNumber, gpu_count: isNumber, arch: isString,
});
export const isNode = shape<Node>({
  hostname: isString, hostgroup: isString, ip: isString, created_at: isString, arch: isString,
  status: oneOf('Starting', 'Running', 'Stopping', 'Stopped', 'Failed'), tags: listOf(isString), cpus: isNumber, ram_bytes: isNumber,
  hypervisor: isString, secrets: isGrant,
  credentials: listOf(shape<Node['credentials'][number]>({ name: isString, secret: isString, deliver: oneOf('boot', 'live', 'both') })),
  attached: isBoolean, agent_version: optional(isString), userdata_exit_code: optional(isNumber), error: optional(isString), console: optional(isString),
});
export const isDeletedNode = shape<DeletedNode>({ message: isString, disk_removed: oneOf('true', 'false') });

export const isVmLogs = shape<VmLogs>({ hostname: isString, lines: isNumber, content: isString });
export const isVmHealth = shape<VmHealth>({
  hostname: isString, agent_uptime: isNumber, agent_version: isString, system_uptime: isNumber, userdata_ran: isBoolean,
  userdata_exit_code: optional(isNumber),
});
const isGuestError = shape<VmSecrets['errors'][number]>({ code: isString, message: isString });
export const isVmSecrets = shape<VmSecrets>({
  hostname: isString, connected: isBoolean, synced: isBoolean, errors: listOf(isGuestError),
  secrets: listOf(shape<VmSecret>({
    name: isString, credential: optional(isString), state: oneOf('current', 'pending', 'failed'), since: optional(isString), error: optional(isGuestError),
  })),
});

/** Events and outcomes are what the daemon's version has: a newer one may have more. */
export const isAuditRecord = shape<Record<keyof AuditRecord, unknown>>({
  time: isString, actor: isString, event: isString, outcome: isString, vm: optional(isString), secret: optional(isString), reason: optional(isString),
  id: optional(isString), channel: optional(isString), credential: optional(isString), grant: optional(isGrant),
  credentials: optional(listOf(shape<{ name: string; secret: string }>({ name: isString, secret: isString }))), request: optional(isString),
  exit_code: optional(isNumber), suppressed: optional(isNumber),
}) as Guard<AuditRecord>;
