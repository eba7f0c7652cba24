// A VM's record: what a later daemon needs to adopt or to clear it. No secret is in it. It is written
// by Slicer and read back after any kind of crash, upgrade or repair by hand, so a schema reads it.
import * as z from 'zod';
import { HYPERVISORS, MACHINE_TYPES } from '../delivery/hypervisor.ts';
import { fail } from '../errors/slicer-error.ts';
import { GUEST_CID_MAX, GUEST_CID_MIN } from '../wire/ports.ts';
import { parseSecretName } from '../secret/name.ts';
import { isHostname } from './hostname.ts';
import { isRuntimeDirectory } from './runtime-directory.ts';

const hostname = z.string().refine(isHostname, 'expected a host name');
const count = z.int().nonnegative();
const secretName = z.string().transform((text, context) => {
  const name = parseSecretName(text);
  if (name !== undefined) return name;
  context.issues.push({ code: 'custom', message: 'expected a name of a secret', input: text });
  return z.NEVER;
});

const common = {
  version: z.literal(1),
  hostname,
  grant: z.union([z.literal('all'), z.array(secretName)]),
  tags: z.array(z.string()),
  created_at_ms: count,
};

const userdata = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('none') }),
  z.strictObject({ state: z.literal('waiting') }),
  z.strictObject({ state: z.literal('claimed') }),
  z.strictObject({ state: z.literal('done'), exit_code: z.int() }),
]);

/** A process is named by id and start time together: ids come round again, start times do not. */
const processIdentity = z.strictObject({
  role: z.enum(['console', 'vsock', 'vmm']),
  pid: z.int().positive(),
  /** Clock ticks since the machine's boot (proc_pid_stat(5), field 22). */
  start_time: count,
});

/** Names only. */
const givenCredential = z.strictObject({ name: z.string(), secret: secretName });

const launchedRecord = z.strictObject({
  ...common,
  kind: z.literal('launched'),
  status: z.enum(['starting', 'running', 'stopping', 'stopped', 'failed']),
  reason: z.string().optional(),
  group: z.string(),
  cpus: count,
  ram_bytes: count,
  stop_grace_ms: count,
  /** Absent in records of before there was a choice. */
  vmm: z.strictObject({ hypervisor: z.enum(HYPERVISORS), machine: z.enum(MACHINE_TYPES) }).default({ hypervisor: 'qemu', machine: 'q35' }),
  /** What the firmware tables hold; absent in records of before there were any. */
  credentials: z.array(givenCredential).default([]),
  /** What the live channel delivers as credentials. */
  live_credentials: z.array(givenCredential.extend({ trim_newline: z.boolean() })).default([]),
  userdata,
  guest_cid: z.int().min(GUEST_CID_MIN).max(GUEST_CID_MAX),
  /** The port of the host that the guest's agent dials, where the host's kernel has the VSOCK device. */
  host_port: z.int().optional(),
  runtime_directory: z.string(),
  /** The user that the VM's processes run as; absent where that is the daemon's. */
  uid: z.int().positive().optional(),
  /** Files that are that user's while the VM runs, and whose they were. */
  lent: z.array(z.strictObject({ path: z.string(), owner: count })).default([]),
  /** /proc/sys/kernel/random/boot_id: after a reboot of the machine its processes are other ones. */
  boot_id: z.string(),
  processes: z.array(processIdentity),
});

const attachedRecord = z.strictObject({
  ...common,
  kind: z.literal('attached'),
  vsock_path: z.string(),
});

const vmRecord = z.discriminatedUnion('kind', [launchedRecord, attachedRecord]);

export type ProcessIdentity = z.infer<typeof processIdentity>;
export type ProcessRole = ProcessIdentity['role'];
export type LaunchedRecord = z.infer<typeof launchedRecord>;
export type AttachedRecord = z.infer<typeof attachedRecord>;
export type VmRecord = z.infer<typeof vmRecord>;

export function encodeRecord(record: VmRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

/** Reads the record of `hostname`. Throws `internal` with what was expected; never quotes the text. */
export function decodeRecord(text: string, hostname: string): VmRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw fail('internal', `the record of vm "${hostname}" is damaged: it is no JSON`);
  }
  const parsed = vmRecord.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'record'}: ${issue.message}`);
    throw fail('internal', `the record of vm "${hostname}" is damaged: ${faults.join(', ')}`);
  }
  const record = parsed.data;
  if (record.hostname !== hostname) {
    throw fail('internal', `the record of vm "${hostname}" is damaged: it is another vm's`);
  }
  if (record.kind === 'launched' && !isRuntimeDirectory(record.runtime_directory, hostname)) {
    throw fail('internal', `the record of vm "${hostname}" is damaged: runtime_directory: expected one of slicer's`);
  }
  return record;
}
