// From the data of a file for `slicer run` to what its VM is: checked as a whole, with the defaults in place.
import { createHash } from 'node:crypto';
import type { SecretName } from '../secret/name.ts';
import type { Issue } from './document.ts';
import { absolutePath } from './named-files.ts';
import { issuesOf } from './problems.ts';
import type { RunBoot, RunFile, RunInterface, RunSecret, RunVolume } from './run-file.ts';
import { checkRunRules } from './run-file-rules.ts';
import { describeUnknownRunKey, runFileSchema, type RawRunFile } from './run-file-schema.ts';
import { MIB } from './values.ts';

/** What microvm.nix gives a VM whose configuration says nothing. */
const DEFAULT_MEM_MIB = 512;
const DEFAULT_CMDLINE = 'console=ttyS0 panic=-1';

/** What the schema and the rules say of data that a file held; `raw` when there are no issues. */
export function checkRunFile(data: unknown): { readonly raw?: RawRunFile; readonly issues: readonly Issue[] } {
  const parsed = runFileSchema.safeParse(data);
  const issues = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue, describeUnknownRunKey))),
    ...checkRunRules(data),
  ];
  return parsed.success && issues.length === 0 ? { raw: parsed.data, issues } : { issues };
}

/** Relative paths start at `directory`. `raw` passed the rules too. */
export function resolveRunFile(raw: RawRunFile, directory: string): RunFile {
  const pathOf = (path: string): string => absolutePath(path, directory);
  return {
    name: raw.name,
    vmm: { hypervisor: raw.hypervisor ?? 'qemu', machine: raw.machine ?? 'q35' },
    cpus: raw.vcpu ?? 1,
    ramBytes: (raw.mem ?? DEFAULT_MEM_MIB) * MIB,
    boot: bootOf(raw, pathOf),
    volumes: (raw.volumes ?? []).map((volume) => volumeOf(volume, pathOf)),
    shares: (raw.shares ?? []).map(({ tag, socket }) => ({ tag, socket: pathOf(socket) })),
    interfaces: (raw.interfaces ?? []).map((value, index) => interfaceOf(raw.name, value, index)),
    cid: raw.vsock?.cid ?? undefined,
    vsockSocket: raw.vsock?.socket === undefined ? undefined : pathOf(raw.vsock.socket),
    balloon: balloonOf(raw.balloon ?? false),
    watchdog: raw.watchdog ?? false,
    secrets: Object.entries(raw.runtimeSecrets ?? {}).map(([name, value]) => secretOf(name as SecretName, value ?? {}, pathOf)),
    staticOemStrings: raw.staticOEMStrings ?? [],
  };
}

function bootOf({ image, kernel, initrd, cmdline }: RawRunFile, pathOf: (path: string) => string): RunBoot {
  if (image !== undefined && image !== null) return { kind: 'image', image, cmdline: cmdline ?? undefined };
  return {
    kind: 'kernel', kernel: pathOf(kernel as string), initrd: typeof initrd === 'string' ? pathOf(initrd) : undefined,
    cmdline: cmdline ?? DEFAULT_CMDLINE,
  };
}

function volumeOf(volume: NonNullable<RawRunFile['volumes']>[number], pathOf: (path: string) => string): RunVolume {
  const { image, size, fsType = 'ext4', label, autoCreate = true, readOnly = false } = volume;
  const isMade = autoCreate && !readOnly && size !== undefined;
  return { path: pathOf(image), readOnly, create: isMade ? { sizeBytes: size * MIB, fsType, label: label ?? undefined } : undefined };
}

function interfaceOf(vm: string, value: NonNullable<RawRunFile['interfaces']>[number], index: number): RunInterface {
  const { type, id = '', mac } = value;
  switch (type) {
    case 'user': return { kind: 'user', mac: mac ?? madeMac(vm, index) };
    case 'tap': return { kind: 'tap', name: id, mac: mac ?? madeMac(vm, index) };
    // The host's interface has an address, which the guest's must be.
    case 'macvtap': return { kind: 'macvtap', name: id, mac };
  }
}

/** The same at each start, since guests name their interfaces and leases by it; locally administered (IEEE 802, 8.2.2). */
function madeMac(vm: string, index: number): string {
  const digest = createHash('sha256').update(`${vm} ${index}`).digest('hex');
  return `02:${(digest.slice(0, 10).match(/../g) as string[]).join(':')}`;
}

function balloonOf(raw: NonNullable<RawRunFile['balloon']>): RunFile['balloon'] {
  if (raw === false) return undefined;
  const { size = 0, deflateOnOOM = true, freePageReporting = true } = raw === true ? {} : raw;
  return { sizeBytes: size * MIB, deflateOnOom: deflateOnOOM, freePageReporting };
}

function secretOf(
  name: SecretName,
  raw: NonNullable<NonNullable<RawRunFile['runtimeSecrets']>[string]>,
  pathOf: (path: string) => string,
): RunSecret {
  const { secretPath, oemCredentialName = name, trimNewline = false, allowEmpty = false, allowReserved = false, deliver } = raw;
  return {
    wish: { name: oemCredentialName, secret: name, trimNewline, allowEmpty, allowReserved, ...(deliver === undefined ? {} : { deliver }) },
    path: typeof secretPath === 'string' ? pathOf(secretPath) : undefined,
  };
}
