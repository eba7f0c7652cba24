// From what the file says to what it means: defaults, bytes, absolute paths.
import type { CredentialWish } from '../delivery/credential.ts';
import { parseBindAddress, type BindAddress } from './address.ts';
import type { ApiConfig, AuditConfig, Config, HostGroup } from './config.ts';
import { absolutePath, isImageName } from './named-files.ts';
import type { RawApi, RawAudit, RawConfig, RawGroup } from './schema.ts';
import { MIB } from './values.ts';

const DEFAULT_SOCKET = './slicer.sock';
const DEFAULT_PORT = 8080;
export const DEFAULT_TOKEN_FILE = '/var/lib/slicer/auth/token';
const DEFAULT_SECRETS_DIR = './.secrets';
/** Beside the records of VMs, in a directory that is the daemon's alone. */
const DEFAULT_AUDIT_PATH = './.slicer/audit.log';
const DEFAULT_AUDIT_MAX_BYTES = 64 * MIB;
const DEFAULT_AUDIT_KEEP = 3;

/** `userdata`: the scripts read from files, by the index of the host group. */
export function resolveConfig(raw: RawConfig, directory: string, userdata: ReadonlyMap<number, string>): Config {
  return {
    hostGroups: raw.host_groups.map((group, index) => resolveGroup(raw, group, userdata.get(index) ?? group.userdata, directory)),
    secretsDir: absolutePath(raw.secrets_dir ?? DEFAULT_SECRETS_DIR, directory),
    api: resolveApi(raw.api ?? { auth: undefined }, directory),
    audit: resolveAudit(raw.audit ?? {}, directory),
  };
}

function resolveGroup(raw: RawConfig, group: RawGroup, userdata: string | undefined, directory: string): HostGroup {
  const image = group.image ?? raw.image ?? 'tiny';
  const ownKernel = isImageName(image) ? undefined : raw.kernel_file;
  return {
    name: group.name,
    count: group.count ?? 0,
    vcpu: group.vcpu ?? 1,
    ramBytes: group.ram_bytes ?? (group.ram_mb ?? (group.ram_gb ?? 0) * 1024) * MIB,
    userdata: userdata === '' ? undefined : userdata,
    image: isImageName(image) ? { kind: image } : { kind: 'initrd', path: absolutePath(image, directory) },
    kernelFile: ownKernel === undefined ? undefined : absolutePath(ownKernel, directory),
    vmm: { hypervisor: group.hypervisor ?? raw.hypervisor ?? 'qemu', machine: group.machine ?? 'q35' },
    network: group.network ?? 'none',
    secrets: resolveSecrets(group.secrets),
    credentials: (group.credentials ?? []).map(resolveCredential),
    tags: [...new Set(group.tags)],
  };
}

function resolveSecrets(secrets: RawGroup['secrets']): HostGroup['secrets'] {
  if (secrets === undefined || secrets === 'all') return 'all';
  return secrets === 'none' ? [] : [...new Set(secrets)];
}

function resolveCredential(credential: NonNullable<RawGroup['credentials']>[number]): CredentialWish {
  const { name, secret, trimNewline = false, allowEmpty = false, allowReserved = false, deliver } = credential;
  return { name, secret, trimNewline, allowEmpty, allowReserved, ...(deliver === undefined ? {} : { deliver }) };
}

function resolveApi(api: RawApi, directory: string): ApiConfig {
  const auth = {
    enabled: api.auth?.enabled ?? true,
    tokenFile: absolutePath(api.auth?.token_file ?? DEFAULT_TOKEN_FILE, directory),
  };
  const { tcp: address, socket } = listenersOf(api);
  return {
    tcp: address === undefined ? undefined : { address, port: api.port ?? DEFAULT_PORT },
    unix: socket === undefined ? undefined : {
      path: absolutePath(socket, directory),
      group: api.socket_group === undefined ? undefined : String(api.socket_group),
    },
    auth,
    sockets: (api.sockets ?? []).map(({ path, group, role }) => ({
      path: absolutePath(path, directory), group: group === undefined ? undefined : String(group), role,
    })),
    tokens: (api.tokens ?? []).map(({ name, token_file: file, role }) => ({ name, tokenFile: absolutePath(file, directory), role })),
  };
}

function resolveAudit({ path, max_size: maxBytes, keep }: RawAudit, directory: string): AuditConfig {
  return {
    path: absolutePath(path ?? DEFAULT_AUDIT_PATH, directory),
    maxBytes: maxBytes ?? DEFAULT_AUDIT_MAX_BYTES,
    keep: keep ?? DEFAULT_AUDIT_KEEP,
  };
}

/**
 * Which listeners there are: a socket as `bind_address` is one, with TCP on loopback beside it when there
 * is a port; an address is TCP alone, as a port alone is; without either there is a socket.
 */
export function listenersOf(api: { readonly port?: unknown; readonly bind_address?: unknown }): { tcp?: string; socket?: string } {
  const bound: BindAddress | undefined = typeof api.bind_address === 'string' ? parseBindAddress(api.bind_address) : undefined;
  const hasPort = api.port !== undefined;
  if (bound?.kind === 'ip') return { tcp: bound.address };
  if (bound?.kind === 'socket') return { socket: bound.path, ...(hasPort ? { tcp: '127.0.0.1' } : {}) };
  return hasPort ? { tcp: '127.0.0.1' } : { socket: DEFAULT_SOCKET };
}
