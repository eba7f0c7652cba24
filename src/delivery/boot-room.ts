// How much the boot channel of each VMM takes, and what one credential or static string takes of it. Pure.
// Every limit here is one that the VMM itself keeps badly: past it strings are lost, memory is overwritten
// or the process aborts, so that a launch must not get there.
import { bootChannelOf, type GuestArch, type VmmChoice } from './hypervisor.ts';
import { oemStringBytes } from './oem-strings.ts';
import { oemStringsMaxBytes, STRINGS_MAX } from './smbios-table.ts';

/**
 * Cloud Hypervisor writes its tables to the 65,536 bytes below 1 MiB and checks nothing: a longer table
 * overwrites the guest's memory. Its entry point and own structures take 138 (arch/src/x86_64/smbios.rs).
 */
const CLOUD_HYPERVISOR_TABLE_MAX_BYTES = 65_398;

/** Cloud Hypervisor, through version 53: MAX_PAYLOAD_SIZE of its HTTP server (micro_http, server.rs). */
const CLOUD_HYPERVISOR_REQUEST_MAX_BYTES = 51_200;

/** What is kept of that for the rest of `vm.create`: paths, disks, shares, the kernel's command line. */
export const REQUEST_RESERVED_BYTES = 4096;

/** `-global fw_cfg_io.x-file-slots` makes room for more than QEMU's 24, past which it aborts. */
const FW_CFG_FILES_MAX = 255;

/** QEMU: FW_CFG_MAX_FILE_PATH, 56, without the closing NUL. */
const FW_CFG_NAME_MAX_BYTES = 55;

/** Where systemd looks for credentials in fw_cfg (systemd.system-credentials(7)). */
export const FW_CFG_PREFIX = 'opt/io.systemd.credentials/';

/** What remains for a credential's name: 28. */
const FW_CFG_CREDENTIAL_NAME_MAX_BYTES = FW_CFG_NAME_MAX_BYTES - FW_CFG_PREFIX.length;

export interface BootRoom {
  readonly form: 'oem-string' | 'fw-cfg';
  readonly maxItems: number;
  /** Absent where there is no table. */
  readonly tableMaxBytes?: number;
  /** Absent where nothing goes over an API. */
  readonly requestMaxBytes?: number;
  /** Of a credential's name; absent where there is no more than systemd's limit. */
  readonly nameMaxBytes?: number;
}

/** Undefined where there is no boot channel. */
export function bootRoomOf(
  vm: { readonly vmm: VmmChoice; readonly arch: GuestArch; readonly ramBytes: number; readonly hasLowInitrdKernel?: boolean },
): BootRoom | undefined {
  const channel = bootChannelOf(vm.vmm, vm.arch);
  if (channel === undefined) return undefined;
  if (channel === 'fw-cfg') return { form: 'fw-cfg', maxItems: FW_CFG_FILES_MAX, nameMaxBytes: FW_CFG_CREDENTIAL_NAME_MAX_BYTES };
  if (vm.vmm.hypervisor === 'cloud-hypervisor') {
    return {
      form: 'oem-string', maxItems: STRINGS_MAX,
      tableMaxBytes: CLOUD_HYPERVISOR_TABLE_MAX_BYTES, requestMaxBytes: CLOUD_HYPERVISOR_REQUEST_MAX_BYTES,
    };
  }
  return { form: 'oem-string', maxItems: STRINGS_MAX, tableMaxBytes: oemStringsMaxBytes(vm.ramBytes, vm.hasLowInitrdKernel === true) };
}

/** What one OEM string takes. */
export interface StringCost {
  /** The closing NUL included. */
  readonly tableBytes: number;
  /** As JSON, with its quotes and a comma. */
  readonly requestBytes: number;
}

export function credentialCost(name: string, sizeBytes: number): StringCost {
  const bytes = oemStringBytes(name, sizeBytes);
  // Of the whole string only the name can have what JSON escapes.
  return { tableBytes: bytes + 1, requestBytes: bytes - Buffer.byteLength(name) + Buffer.byteLength(JSON.stringify(name)) + 1 };
}

export function staticStringCost(text: string): StringCost {
  return { tableBytes: Buffer.byteLength(text) + 1, requestBytes: Buffer.byteLength(JSON.stringify(text)) + 1 };
}
