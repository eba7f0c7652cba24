// What Cloud Hypervisor v53 takes as `vm.create`, and refuses when it boots: VmConfig of vmm/src/vm_config.rs
// with its validate() in vmm/src/config.rs.
//
// Stricter than the real one in two ways, since the real one would go on in silence and the guest would be
// another than was asked for: it refuses members that it does not know (no struct of VmConfig has serde's
// deny_unknown_fields), and OEM strings that its SMBIOS table can't hold (arch/src/x86_64/smbios.rs writes
// the count as one byte, and past the table into the guest's memory).
import { accessSync, constants } from 'node:fs';
import { z } from 'zod';

/** SMBIOS_START of 0xf0000 up to 1 MiB (arch/src/x86_64/layout.rs), less its entry point and its own structures. */
const TABLE_MAX_BYTES = 65_398;
const STRINGS_MAX = 255;

const NOT_THERE = 'No such file or directory (os error 2)';

/** PciDeviceCommonConfig, which most devices flatten. */
const pci = { id: z.string().optional(), iommu: z.boolean().optional(), pci_segment: z.int().optional(), pci_device_id: z.int().optional() };
const console = (...modes: [string, ...string[]]) => z.strictObject({ mode: z.enum(modes), file: z.string().optional(), socket: z.string().optional() });
const queues = { num_queues: z.int().min(0).optional(), queue_size: z.int().min(0).max(65535).optional() };

export const netConfig = z.strictObject({
  ...pci, ...queues,
  tap: z.string().optional(), ip: z.string().optional(), mask: z.string().optional(), mtu: z.int().optional(),
  mac: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i).optional(), host_mac: z.string().optional(),
  fds: z.array(z.int()).optional(),
});

export const vmConfig = z.strictObject({
  cpus: z.strictObject({ boot_vcpus: z.int().min(0), max_vcpus: z.int().min(0), nested: z.boolean().optional() }).default({ boot_vcpus: 1, max_vcpus: 1 }),
  memory: z.strictObject({
    size: z.int().min(0), mergeable: z.boolean().optional(), shared: z.boolean().optional(), hugepages: z.boolean().optional(),
    prefault: z.boolean().optional(), thp: z.boolean().optional(),
  }).default({ size: 512 * 1024 * 1024 }),
  payload: z.strictObject({
    firmware: z.string().optional(), kernel: z.string().optional(), cmdline: z.string().optional(), initramfs: z.string().optional(),
  }).optional(),
  disks: z.array(z.strictObject({
    ...pci, ...queues,
    path: z.string().optional(), readonly: z.boolean().optional(), direct: z.boolean().optional(), serial: z.string().optional(),
    sparse: z.boolean().optional(), image_type: z.enum(['FixedVhd', 'Qcow2', 'Raw', 'Vhdx', 'Unknown']).optional(),
  })).optional(),
  net: z.array(netConfig).optional(),
  fs: z.array(z.strictObject({ ...pci, ...queues, tag: z.string(), socket: z.string() })).optional(),
  rng: z.strictObject({ ...pci, src: z.string() }).optional(),
  balloon: z.strictObject({
    ...pci, size: z.int().min(0), deflate_on_oom: z.boolean().optional(), free_page_reporting: z.boolean().optional(),
  }).optional(),
  vsock: z.strictObject({ ...pci, cid: z.int().min(0).max(0xffff_ffff), socket: z.string() }).optional(),
  watchdog: z.boolean().optional(),
  landlock_enable: z.boolean().optional(),
  landlock_rules: z.array(z.object({ path: z.string(), access: z.string() })).optional(),
  pvpanic: z.boolean().optional(),
  serial: console('Off', 'Pty', 'Tty', 'File', 'Socket', 'Null').optional(),
  console: console('Off', 'Pty', 'Tty', 'File', 'Socket', 'Null').optional(),
  platform: z.strictObject({ num_pci_segments: z.int().optional(), oem_strings: z.array(z.string()).optional() }).optional(),
});

export type VmConfig = z.infer<typeof vmConfig>;
export type NetConfig = z.infer<typeof netConfig>;

/** As serde says it of a member that is of another type: with the value. */
export function typeError(error: z.ZodError, body: unknown): string {
  const [issue] = error.issues;
  const value = issue?.path.reduce<any>((part, key) => part?.[key], body);
  return typeof value === 'string' ? `invalid type: string ${JSON.stringify(value)}, expected another` : String(issue?.message);
}

/** Why it does not boot, as the chain of messages that its API answers with; undefined when it does. */
export function refusalOf(config: VmConfig): string[] | undefined {
  const { cpus, memory, payload, disks = [], net = [], fs = [], balloon, vsock, platform } = config;
  const strings = platform?.oem_strings ?? [];
  const invalid = (...why: string[]): string[] => ['Failed to validate config', ...why];
  if (payload?.kernel === undefined) return invalid('Payload configuration is not bootable', 'No bootitem provided: neither firmware nor kernel');
  if (cpus.max_vcpus < cpus.boot_vcpus) return invalid(`Max CPUs (${cpus.max_vcpus}) lower than boot CPUs (${cpus.boot_vcpus})`);
  for (const { num_queues: count = 1 } of [...disks, ...fs]) {
    if (count > cpus.boot_vcpus) return invalid(`Queue count (${count}) must not exceed boot vCPUs (${cpus.boot_vcpus})`);
  }
  for (const { num_queues: count = 2 } of net) {
    if (count < 2) return invalid(`Number of queues (${count}) to virtio_net should be higher than 2`);
    if (count / 2 > cpus.boot_vcpus) return invalid(`Queue count (${count}) must not exceed boot vCPUs (${cpus.boot_vcpus})`);
  }
  if (fs.length > 0 && memory.shared !== true) return invalid('Using vhost-user requires using shared memory or huge pages');
  if (vsock !== undefined && [0, 1, 2, 0xffff_ffff].includes(vsock.cid)) return invalid(`${vsock.cid} is a special VSOCK CID`);
  if (balloon !== undefined && balloon.size >= memory.size) return invalid(`Balloon size (${balloon.size}) greater than RAM (${memory.size})`);
  if (strings.length > STRINGS_MAX) return ['a count of OEM strings that wraps'];
  if (strings.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0) > TABLE_MAX_BYTES) return ['an SMBIOS table that overwrites memory'];
  if (strings.some((text) => text === '' || text.includes('\0'))) return ['an OEM string that ends the table'];
  if (!isReadable(payload.kernel)) return ['Cannot open kernel file', NOT_THERE];
  if (payload.initramfs !== undefined && !isReadable(payload.initramfs)) return ['Cannot open initramfs file', NOT_THERE];
  for (const { path } of disks) {
    if (path === undefined || !isReadable(path)) return ['Error from device manager', 'Cannot open disk path', `I/O error (path=${path} op=open)`, NOT_THERE];
  }
  return undefined;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
