// A configuration after it was read and checked: defaults filled in, sizes in bytes, paths absolute.
import type { SecretName } from '../secret/name.ts';

/** Which secrets a VM gets when its launch names none: all (later ones too), none, or these. */
export type SecretsDefault = 'all' | 'none' | readonly SecretName[];

export type ImageChoice =
  /** The image that `slicer image build` makes. */
  | { readonly kind: 'tiny' }
  /** An initramfs (cpio, compressed or not) of the user's own. */
  | { readonly kind: 'initrd'; readonly path: string };

export interface HostGroup {
  /** A DNS label of at most 52 characters: host names are `<name>-N`. */
  readonly name: string;
  /** VMs that `slicer up` starts, named `<name>-1` to `<name>-<count>`. */
  readonly count: number;
  readonly vcpu: number;
  readonly ramBytes: number;
  /** The script that each VM runs once; undefined for none. */
  readonly userdata: string | undefined;
  readonly image: ImageChoice;
  /** A kernel of the user's own; undefined for the tiny image's. */
  readonly kernelFile: string | undefined;
  readonly network: 'none' | 'user';
  readonly secrets: SecretsDefault;
  readonly tags: readonly string[];
}

export interface TcpListener {
  /** A literal IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface UnixListener {
  readonly path: string;
  /** A group of the host, by name or number, that may connect besides the owner. */
  readonly group: string | undefined;
}

/** At least one listener is there. */
export interface ApiConfig {
  readonly tcp: TcpListener | undefined;
  readonly unix: UnixListener | undefined;
  readonly auth: {
    /** Whether requests over TCP must carry the bearer token. */
    readonly enabled: boolean;
    readonly tokenFile: string;
  };
}

export interface Config {
  /** In the order of the file; names are unique. */
  readonly hostGroups: readonly HostGroup[];
  readonly secretsDir: string;
  readonly hypervisor: 'qemu';
  readonly api: ApiConfig;
}
