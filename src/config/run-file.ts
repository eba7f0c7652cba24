// What `slicer run` starts, after its file was read and checked: defaults filled in, sizes in bytes, paths
// absolute. No value of a secret is in it.
import type { CredentialWish } from '../delivery/credential.ts';
import type { VmmChoice } from '../delivery/hypervisor.ts';

/** One secret, and where it is read from when the VM starts: `$CREDENTIALS_DIRECTORY/<name>` first, then `path`. */
export interface RunSecret {
  readonly wish: CredentialWish;
  readonly path: string | undefined;
  /** Whether it is no secret after all (a certificate, a public key): its file at `path` may be open to others. */
  readonly isPublic?: boolean;
  /** The command that makes it where it is not there yet. */
  readonly remedy?: string;
}

export interface RunVolume {
  readonly path: string;
  readonly readOnly: boolean;
  /** How to make it where it is not there; undefined where that is an error. */
  readonly create: { readonly sizeBytes: number; readonly fsType: FsType; readonly label: string | undefined } | undefined;
}

export const FS_TYPES = ['ext4', 'ext3', 'ext2', 'xfs', 'btrfs', 'vfat'] as const;
export type FsType = (typeof FS_TYPES)[number];

export type RunInterface =
  | { readonly kind: 'user'; readonly mac: string }
  /** `name`: an interface of the host that is there when the VM starts. */
  | { readonly kind: 'tap'; readonly name: string; readonly mac: string }
  /** Without `mac`, the host's interface says it. */
  | { readonly kind: 'macvtap'; readonly name: string; readonly mac: string | undefined };

export type RunBoot =
  /** `cmdline` undefined: the image's own. */
  | { readonly kind: 'image'; readonly image: 'tiny' | 'debian'; readonly cmdline: string | undefined }
  | { readonly kind: 'kernel'; readonly kernel: string; readonly initrd: string | undefined; readonly cmdline: string };

export interface RunFile {
  /** A DNS label. */
  readonly name: string;
  readonly vmm: VmmChoice;
  /** 1 to 255. */
  readonly cpus: number;
  /** A multiple of 1 MiB. */
  readonly ramBytes: number;
  readonly boot: RunBoot;
  readonly volumes: readonly RunVolume[];
  readonly shares: readonly { readonly tag: string; readonly socket: string }[];
  readonly interfaces: readonly RunInterface[];
  /** Undefined: chosen when the VM starts. */
  readonly cid: number | undefined;
  /** Where the guest's connections to port P arrive as `PATH_P`; undefined: in a directory of the VM's own. */
  readonly vsockSocket: string | undefined;
  readonly balloon: { readonly sizeBytes: number; readonly deflateOnOom: boolean; readonly freePageReporting: boolean } | undefined;
  readonly watchdog: boolean;
  /** In the order of the file. */
  readonly secrets: readonly RunSecret[];
  readonly staticOemStrings: readonly string[];
}
