// The configuration that `slicer new GROUP` prints: it works as it stands, and its comments say what else
// there is.
import { fail } from '../errors/slicer-error.ts';
import { isGroupName, GROUP_NAME_RULE } from './schema.ts';

export interface NewConfigOptions {
  /** VMs that `slicer up` starts; 0 unless given. */
  readonly count?: number;
  /** 1 unless given. */
  readonly vcpu?: number;
  /** 512 unless given. */
  readonly ramMb?: number;
}

/** The text of a slicer.yaml with one host group. Throws usage for a name that no group can have. */
export function renderNewConfig(group: string, options: NewConfigOptions = {}): string {
  if (!isGroupName(group)) throw fail('usage', `expected for GROUP ${GROUP_NAME_RULE}`, 'slicer new demo > slicer.yaml');
  const { count = 0, vcpu = 1, ramMb = 512 } = options;
  return `# Configuration of Slicer. Relative paths start from the directory that \`slicer up\` runs in.
config:
  host_groups:
    # VMs of a group are alike. Their host names are ${group}-1, ${group}-2 and so on.
    - name: ${quoted(group)}
      # VMs that \`slicer up\` starts; \`slicer vm launch\` starts more.
      count: ${count}
      vcpu: ${vcpu}
      # One of ram_gb, ram_mb, ram_bytes.
      ram_mb: ${ramMb}
      # Secrets of a VM whose launch names none: all (later ones too), none, or a list of names.
      secrets: all
      # Secrets that a VM gets as systemd credentials: at boot, through firmware, where they can't be revoked
      # before the VM ends; or live, which follows the secret.
      # credentials:
      #   - name: api-key
      #     secret: api-key
      #     deliver: live
      # qemu, cloud-hypervisor or firecracker. With qemu, machine: q35 or microvm.
      # hypervisor: qemu
      # none, or with qemu user: a way out through the host, none in.
      network: none
      # tiny, debian (slicer image build debian), or the path of an initramfs of your own with the agent in it.
      # image: tiny
      # A script that every VM runs once as root, when its secrets are in place. Or userdata_file: PATH.
      # userdata: |
      #   #!/bin/sh
      #   ls -l /run/slicer/secrets
      # Words to find VMs by.
      # tags: [web, blue]

  # The kernel for images of your own; without one they get that of the tiny image.
  # kernel_file: ./vmlinuz

  # One plain file a secret, for root alone; made if it is absent.
  secrets_dir: ./.secrets

  api:
    # A socket that only you can use, or an IP address (127.0.0.1) for TCP with a token.
    bind_address: ./slicer.sock
    # Users of this group may use the socket too. They can read and change everything that Slicer has.
    # socket_group: slicer
    # Beside a socket: TCP on 127.0.0.1 as well.
    # port: 8080
    # More sockets, each with a group of its own: admin may do everything, read sees what there is and how it is.
    # sockets:
    #   - path: ./read.sock
    #     group: monitoring
    #     role: read
    # More tokens for TCP, each with a name that the audit log has: made if they are absent.
    # tokens:
    #   - name: ci
    #     token_file: /var/lib/slicer/auth/ci
    #     role: admin
    # auth:
    #   # Whether TCP needs the token. It always does beyond this machine.
    #   enabled: true
    #   token_file: /var/lib/slicer/auth/token

  # Who changed, read and was refused what. Rotated before it is larger than max_size; keep older files stay.
  # audit:
  #   path: ./.slicer/audit.log
  #   max_size: 64MiB
  #   keep: 3
`;
}

/** A label of digits alone, or one that YAML reads as something else, stands in quotes. */
function quoted(label: string): string {
  return /^[a-z][a-z0-9-]*$/.test(label) && !['true', 'false', 'null'].includes(label) ? label : `"${label}"`;
}
