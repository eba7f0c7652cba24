// Reads the file of `slicer run`, YAML or JSON. Guarantees: what it returns needs no further check of the
// file, and when it refuses, it names every problem at once, each with line and column. What the machine
// must have besides (interfaces, sockets, disks, secrets) is looked at when the VM starts.
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { fail, throwIfAny } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import { entriesOf, readDocument } from './document.ts';
import { absolutePath, describeFailure, diskFiles } from './named-files.ts';
import { issuesOf, problemAt, problemsOf } from './problems.ts';
import type { RunBoot, RunFile, RunInterface, RunSecret, RunVolume } from './run-file.ts';
import { checkRunRules } from './run-file-rules.ts';
import { describeUnknownRunKey, runFileSchema, type RawRunFile } from './run-file-schema.ts';
import { MIB } from './values.ts';

export const RUN_FILE_MAX_BYTES = 1024 * 1024;

/** What microvm.nix gives a VM whose configuration says nothing. */
const DEFAULT_MEM_MIB = 512;
const DEFAULT_CMDLINE = 'console=ttyS0 panic=-1';

/** Relative paths start at `directory`. Throws invalid_config, and not_found where there is no such file. */
export function loadRunFile(file: string, directory: string = process.cwd()): RunFile {
  return parseRunFile(readText(file, directory), { file, directory });
}

/** Whether a file is one VM's rather than a slicer.yaml, whose one key is `config`; false for one that can't be read. */
export function isRunFile(file: string, directory: string = process.cwd()): boolean {
  try {
    const keys = Object.keys(entriesOf(readDocument(readText(file, directory)).data));
    return keys.includes('name') && !keys.includes('config');
  } catch {
    return false;
  }
}

function readText(file: string, directory: string): string {
  try {
    return new TextDecoder().decode(diskFiles.read(resolve(directory, file), RUN_FILE_MAX_BYTES));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fail('invalid_config', `"${file}" ${describeFailure(error)}`);
    throw fail('not_found', `"${file}" does not exist`, 'slicer run --help');
  }
}

/** `file` is how problems name it. Throws invalid_config. */
export function parseRunFile(text: string, source: { readonly file: string; readonly directory: string }): RunFile {
  const document = readDocument(text);
  throwIfAny(document.syntaxProblems.map((problem) => problemAt(source.file, problem, problem.message)));
  const parsed = runFileSchema.safeParse(document.data);
  const issues = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue, describeUnknownRunKey))),
    ...checkRunRules(document.data),
  ];
  throwIfAny(problemsOf(source.file, document, issues));
  // Never reached with a failed parse, whose issues were just thrown.
  if (!parsed.success) throw parsed.error;
  return resolveRunFile(parsed.data, source.directory);
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
