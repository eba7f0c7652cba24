// Records as the parts above see them.
import type { AttachedVm, LaunchedVm } from './contract.ts';
import type { AttachedRecord, LaunchedRecord } from './record.ts';
import { socketsIn } from './runtime-directory.ts';

export function launchedVm(record: LaunchedRecord, lastConsoleLines: readonly string[]): LaunchedVm {
  const { userdata } = record;
  return {
    kind: 'launched',
    hostname: record.hostname,
    status: record.status,
    ...(record.reason === undefined ? {} : { reason: record.reason }),
    grant: record.grant,
    tags: record.tags,
    createdAtMs: record.created_at_ms,
    vsockPath: socketsIn(record.runtime_directory).vsock,
    ...(record.uid === undefined ? {} : { vmUid: record.uid }),
    group: record.group,
    cpus: record.cpus,
    ramBytes: record.ram_bytes,
    vmm: record.vmm,
    credentials: record.credentials,
    liveCredentials: record.live_credentials.map(({ name, secret, trim_newline: trimNewline }) => ({ name, secret, trimNewline })),
    userdata: userdata.state === 'done' ? { state: 'done', exitCode: userdata.exit_code } : userdata,
    lastConsoleLines,
  };
}

export function attachedVm(record: AttachedRecord): AttachedVm {
  return {
    kind: 'attached',
    hostname: record.hostname,
    status: 'running',
    grant: record.grant,
    tags: record.tags,
    createdAtMs: record.created_at_ms,
    vsockPath: record.vsock_path,
  };
}
