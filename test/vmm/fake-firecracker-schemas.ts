// What Firecracker 1.16.1 takes in the body of each request, as its structs have it (src/vmm/src/vmm_config):
// all of them refuse members that they do not know, and take null for what they can do without.
import { z } from 'zod';

const u8 = z.int().min(0).max(255);
const u16 = z.int().min(0).max(65_535);
const u32 = z.int().min(0).max(0xffff_ffff);
const u64 = z.int().min(0);
const optional = <T extends z.ZodType>(type: T) => type.nullish();

const bucket = z.object({ size: u64, one_time_burst: optional(u64), refill_time: u64 });
const rateLimiter = z.strictObject({ bandwidth: optional(bucket), ops: optional(bucket) });
const mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i);

export const machineConfig = z.strictObject({
  vcpu_count: u8,
  mem_size_mib: u64,
  smt: z.boolean().default(false),
  cpu_template: z.enum(['C3', 'T2', 'T2S', 'T2CL', 'T2A', 'V1N1', 'None']).nullish(),
  track_dirty_pages: z.boolean().default(false),
  huge_pages: z.enum(['None', '2M']).default('None'),
});

export const bootSource = z.strictObject({
  kernel_image_path: z.string(),
  initrd_path: optional(z.string()),
  boot_args: optional(z.string()),
});

export const drive = z.strictObject({
  drive_id: z.string(),
  partuuid: optional(z.string()),
  is_root_device: z.boolean(),
  cache_type: z.enum(['Unsafe', 'Writeback']).default('Unsafe'),
  is_read_only: optional(z.boolean()),
  path_on_host: optional(z.string()),
  rate_limiter: optional(rateLimiter),
  io_engine: optional(z.enum(['Sync', 'Async'])),
  socket: optional(z.string()),
});

export const networkInterface = z.strictObject({
  iface_id: z.string(),
  host_dev_name: z.string(),
  guest_mac: optional(mac),
  mtu: optional(u16),
  rx_rate_limiter: optional(rateLimiter),
  tx_rate_limiter: optional(rateLimiter),
});

export const vsock = z.strictObject({ vsock_id: optional(z.string()), guest_cid: u32, uds_path: z.string() });

export const entropy = z.strictObject({ rate_limiter: optional(rateLimiter) });

export const balloon = z.strictObject({
  amount_mib: u32,
  deflate_on_oom: z.boolean(),
  stats_polling_interval_s: u16.default(0),
  free_page_hinting: z.boolean().default(false),
  free_page_reporting: z.boolean().default(false),
});

export const action = z.strictObject({ action_type: z.enum(['FlushMetrics', 'InstanceStart', 'SendCtrlAltDel']) });

/** The document of `--config-file`; members of its own that it does not know are passed over. */
export const config = z.object({
  'machine-config': optional(machineConfig),
  'boot-source': bootSource,
  drives: z.array(drive),
  'network-interfaces': z.array(networkInterface).default([]),
  vsock: optional(vsock),
  entropy: optional(entropy),
  balloon: optional(balloon),
});
