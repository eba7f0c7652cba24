// A configuration after it was read and checked: defaults filled in, sizes in bytes, paths absolute.
import type { CredentialWish } from '../delivery/credential.ts';
import type { VmmChoice } from '../delivery/hypervisor.ts';
import type { Grant } from '../secret/grant.ts';

export type ImageChoice =
  /** Those that `slicer image build` makes. */
  | { readonly kind: 'tiny' }
  | { readonly kind: 'debian' }
  /** An initramfs (cpio, compressed or not) of the user's own. */
  | { readonly kind: 'initrd'; readonly path: string };

export interface HostGroup {
  /** A DNS label of at most 53 characters: host names are `<name>-N`, N of up to nine digits. */
  readonly name: string;
  /** VMs that `slicer up` starts, named `<name>-1` to `<name>-<count>`. */
  readonly count: number;
  /** 1 to 255. */
  readonly vcpu: number;
  /** A multiple of 1 MiB, at least 64 MiB. */
  readonly ramBytes: number;
  /** The script that each VM runs once, at most 256 KiB as UTF-8; undefined for none. */
  readonly userdata: string | undefined;
  readonly image: ImageChoice;
  /** The kernel for an image of one's own; undefined for that of Slicer's images, which these always have. */
  readonly kernelFile: string | undefined;
  /** What runs a VM whose launch names no other. */
  readonly vmm: VmmChoice;
  /** `user` with QEMU alone. */
  readonly network: 'none' | 'user';
  /** What a VM gets whose launch names no secrets. */
  readonly secrets: Grant;
  /** What a VM gets as systemd credentials whose launch names none; names are right and unique. */
  readonly credentials: readonly CredentialWish[];
  readonly tags: readonly string[];
}

export interface TcpListener {
  /** A literal IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface UnixListener {
  /** At most 107 bytes (unix(7)). */
  readonly path: string;
  /** A group of the host, by name or number, that may connect besides the owner. */
  readonly group: string | undefined;
}

/** `read` sees what there is and how it is, and changes nothing. */
export const ROLES = ['admin', 'read'] as const;
export type ApiRole = (typeof ROLES)[number];

/** One more socket: whoever may connect to it has its role. */
export interface RoleSocket extends UnixListener {
  readonly role: ApiRole;
}

/** One more token for TCP. */
export interface NamedToken {
  /** As records have it. Unique. */
  readonly name: string;
  readonly tokenFile: string;
  readonly role: ApiRole;
}

/** At least one listener is there. */
export interface ApiConfig {
  readonly tcp: TcpListener | undefined;
  readonly unix: UnixListener | undefined;
  readonly auth: {
    /** Whether requests over TCP must carry the bearer token; never false beyond loopback. */
    readonly enabled: boolean;
    readonly tokenFile: string;
  };
  /** Besides `unix`, whose role is admin. */
  readonly sockets: readonly RoleSocket[];
  /** Besides that of `auth`, which is called `token` and whose role is admin. */
  readonly tokens: readonly NamedToken[];
}

export interface AuditConfig {
  readonly path: string;
  /** The file is rotated before it is larger, at least 64 KiB. */
  readonly maxBytes: number;
  /** Rotated files that stay besides it. */
  readonly keep: number;
}

export interface Config {
  /** In the order of the file; names are unique. A file has at least one. */
  readonly hostGroups: readonly HostGroup[];
  readonly secretsDir: string;
  readonly api: ApiConfig;
  readonly audit: AuditConfig;
}

/** Whether its VMs can start with Slicer's kernel whose initramfs lies low: one of the user's own may be any size. */
export const hasLowInitrdKernel = ({ image, kernelFile }: Pick<HostGroup, 'image' | 'kernelFile'>): boolean =>
  image.kind !== 'initrd' && kernelFile === undefined;
