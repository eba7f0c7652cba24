// What to start by oneself instead of `slicer run`. Slicer is then not there while the VM runs: no boot token
// is sent, and what is delivered live is served by `slicer attach`. Values go into files of a private
// directory (QEMU), or into the document (Cloud Hypervisor); Firecracker has no place for one.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunFile } from '../config/run-file.ts';
import { encodeBootItems } from '../delivery/boot-items.ts';
import { bootChannelOf } from '../delivery/hypervisor.ts';
import { credentialValue } from '../delivery/oem-strings.ts';
import { planDelivery } from '../delivery/plan.ts';
import { fail, throwIfAny } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { drawCid } from '../vm/drawn-address.ts';
import { GUEST_ARCH } from '../vm/found-programs.ts';
import { makePrivate } from '../vm/private-directory.ts';
import { socketsIn } from '../vm/runtime-directory.ts';
import { findAccelerator } from '../vmm/accelerator.ts';
import { addedInterfaces, cloudHypervisorConfig } from '../vmm/cloud-hypervisor-config.ts';
import type { VmSpec } from '../vmm/contract.ts';
import { vmmFor } from '../vmm/drivers.ts';
import { firecrackerConfig } from '../vmm/firecracker-config.ts';
import { FIRST_INHERITED } from '../vmm/inherited-files.ts';
import { optionValue } from '../vmm/qemu-devices.ts';
import { findTscKhz } from '../vmm/time-stamp-counter.ts';
import { encodeBody, REQUEST_MAX_BYTES } from '../vmm/vmm-api.ts';
import { deliveryVmOf } from './delivery.ts';
import { findHostParts } from './host-parts.ts';
import { collect, findBoot, findRunPrograms, type RunPrograms } from './preparation.ts';
import { readSecrets } from './secrets.ts';
import { specOf, type Boot } from './spec.ts';

export const RENDER_FORMATS = { 'qemu-args': 'qemu', 'cloud-hypervisor-json': 'cloud-hypervisor', 'firecracker-json': 'firecracker' } as const;
export type RenderFormat = keyof typeof RENDER_FORMATS;

export interface RenderOptions {
  readonly format: RenderFormat;
  /** Absolute; made where it is not there. Sockets will be in it, and the files that hold values. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** Whether the text may hold values: it goes to no terminal. */
  readonly mayHoldValues: boolean;
}

export interface Rendering {
  /** Arguments, one a line and quoted for a shell, or a JSON document. */
  readonly text: string;
  /** What to do besides, each a line. */
  readonly notes: readonly string[];
}

/** Throws every problem at once, and then makes nothing. */
export async function renderVm(file: RunFile, options: RenderOptions): Promise<Rendering> {
  const { format, directory, env, uid } = options;
  if (RENDER_FORMATS[format] !== file.vmm.hypervisor) {
    const formats = (Object.keys(RENDER_FORMATS) as RenderFormat[]).filter((each) => RENDER_FORMATS[each] === file.vmm.hypervisor);
    throw fail('invalid_request', `${format} is for hypervisor: ${RENDER_FORMATS[format]}; vm "${file.name}" has ${file.vmm.hypervisor}`, `slicer render --format=${formats.join()}`);
  }
  const [programs, found, hostParts, tscKhz] = await Promise.all([findRunPrograms(env['PATH'] ?? ''), collect(findBoot(file)), findHostParts(file), findTscKhz()]);
  const { values, problems } = readSecrets(file.secrets, { credentialsDirectory: env['CREDENTIALS_DIRECTORY'], callerUid: uid });
  const plan = planDelivery({ ...deliveryVmOf(file, GUEST_ARCH), own: [] }, new Map([...values].map(([name, value]) => [name, { value }])));
  throwIfAny([...problems, ...plan.problems.filter(({ code }) => code !== 'secret_not_found'), ...('problems' in found ? found.problems : []), ...hostParts.problems]);
  // Without problems it was found.
  const { value: boot } = found as { readonly value: Boot };
  const credentials = plan.bootCredentials.map((wish) => ({ name: wish.name, value: credentialValue(wish, values.get(wish.secret) as Secret) }));
  const items = encodeBootItems(bootChannelOf(file.vmm, GUEST_ARCH), credentials, file.staticOemStrings);
  const spec = specOf(file, {
    boot, interfaces: hostParts.interfaces, tscKhz, items, vsock: { kind: 'vhost-device-vsock' },
    // It may be meant for another machine; only QEMU can do without KVM.
    accelerator: format === 'qemu-args' ? await findAccelerator(env['SLICER_ACCEL']) : 'kvm',
    guestCid: file.cid ?? drawCid(randomBytes, new Set()),
    sockets: { ...socketsIn(directory), ...(file.vsockSocket === undefined ? {} : { vsock: file.vsockSocket }) },
  });
  throwIfAny(vmmFor(file.vmm, GUEST_ARCH, programs).problems(spec));
  const secrets = items.map(({ value }) => value);
  if (format === 'cloud-hypervisor-json') encodeBody('PUT /api/v1/vm.create', cloudHypervisorConfig(spec, secrets));
  if (format === 'cloud-hypervisor-json' && secrets.length > 0 && !options.mayHoldValues) {
    throw fail('usage', 'the JSON would hold values, and stdout is a terminal',
      `slicer render ... | curl -X PUT --json @- --unix-socket ${spec.sockets.control} http://localhost/api/v1/vm.create`);
  }
  await makeEmpty(directory, uid);
  const live = plan.liveCredentials.map(({ secret }) => secret);
  const notes = [
    ...file.volumes.filter(({ path }) => !existsSync(path)).map(({ path }) => `the disk ${path} is not there; slicer run would make it`),
    ...(live.length === 0 ? [] : [`delivered live: slicer attach --name=${file.name} --vsock=${spec.sockets.vsock} --secret=${live.join(',')}, from a store that has them; as files, no credentials`]),
  ];
  switch (format) {
    case 'qemu-args': {
      const rendering = await qemuArgs(file, spec, programs, secrets, directory);
      return { text: rendering.text, notes: [...rendering.notes, ...notes] };
    }
    case 'cloud-hypervisor-json': return {
      text: vmCreateJson(cloudHypervisorConfig(spec, secrets)),
      notes: [...notes, ...addedInterfaces(spec).map((network) => `not in it: the interface "${'name' in network ? network.name : network.kind}", which takes vm.add-net with descriptors`)],
    };
    case 'firecracker-json': return { text: json(firecrackerConfig(spec)), notes };
  }
}

const json = (document: object): string => `${JSON.stringify(document, null, 2)}\n`;

/** Without its indentation where that would be more than the API takes. */
function vmCreateJson(config: object): string {
  const indented = json(config);
  return Buffer.byteLength(indented) > REQUEST_MAX_BYTES ? JSON.stringify(config) : indented;
}

async function makeEmpty(directory: string, uid: number): Promise<void> {
  await makePrivate(directory, uid);
  if ((await readdir(directory)).length > 0) {
    throw fail('invalid_request', `${directory} is not empty: a VM that was rendered before may use it`, `rm -r ${directory}, or --directory=DIR`);
  }
}

async function qemuArgs(file: RunFile, spec: VmSpec, programs: RunPrograms, values: readonly Secret[], directory: string): Promise<Rendering> {
  const plans = vmmFor(file.vmm, GUEST_ARCH, programs).plan(spec);
  const device = plans.find(({ role }) => role === 'vsock');
  const vmm = plans.find(({ role }) => role === 'vmm');
  if (vmm === undefined) throw fail('internal', 'QEMU\'s plan has no QEMU');
  const pathOf = (index: number): string => join(directory, `boot-slot-${index}`);
  try {
    for (const [index, value] of values.entries()) await writeFile(pathOf(index), value.reveal(), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw fail('launch_failed', `${directory} can't take the secrets: ${(error as NodeJS.ErrnoException).code}`);
  }
  const argv = vmm.argv.map((argument) => argument.replace(/\/dev\/fd\/(\d+)$/, (_, descriptor: string) => {
    const inherited = vmm.descriptors[Number(descriptor) - FIRST_INHERITED];
    return inherited?.kind === 'boot-slot' ? optionValue(pathOf(inherited.index)) : `/dev/fd/${descriptor}`;
  }));
  return {
    text: argv.map((argument) => `${shellQuoted(argument)}\n`).join(''),
    notes: [
      ...(device === undefined ? [] : [`start before it: ${[device.program, ...device.argv].map(shellQuoted).join(' ')}`]),
      ...vmm.descriptors.flatMap((inherited, index) => (inherited.kind === 'device' ? [`start it with ${index + FIRST_INHERITED}<>${inherited.path}`] : [])),
      ...(values.length === 0 ? [] : [`${values.length} files of ${directory} hold what goes over the firmware; once QEMU runs: rm ${directory}/boot-slot-*`]),
    ],
  };
}

const shellQuoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
