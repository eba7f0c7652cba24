// Cloud Hypervisor (v53), configured over its API socket: its command line holds the socket's path and
// nothing else, since every user of the host can read that. No option makes it more talkative: with `-v` it
// logs its whole configuration. Its standard error is filtered all the same, as some of its errors quote
// what they could not use; seccomp is on by default, and Landlock where the kernel has it. It is not trusted
// further than to run its VM.
//
// It ends with exit code 0 when the guest powers off, and also when somebody ends it by SIGTERM or one of
// its own threads fails: the last lines of the log tell which. A guest that resets its machine, or whose
// watchdog does, gets a new one in the same process, which the API says nothing of; the guest's VSOCK
// connections end, and its socket is there again at once.
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import * as z from 'zod';
import type { GuestArch } from '../delivery/hypervisor.ts';
import { fail, type Problem } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { addedInterfaces, cloudHypervisorConfig, cloudHypervisorProblems, netConfig } from './cloud-hypervisor-config.ts';
import type { NetworkInterface, ProcessPlan, Share, Vmm, VmmControl, VmSockets, VmSpec } from './contract.ts';
import { putWithDescriptors } from './descriptor-request.ts';
import { namedByDescriptors } from './inherited-files.ts';
import { findLandlock, landlockConfig } from './landlock.ts';
import { REQUEST_MAX_BYTES, vmmRequest } from './vmm-api.ts';

/** Absolute paths. */
export interface CloudHypervisorPrograms {
  readonly cloudHypervisor: string;
  /** The agent's binary, for its host mode that sends descriptors. */
  readonly agent: string;
}

/** How long a Cloud Hypervisor that runs may take to pass on the power button. */
const BUTTON_LIMIT_MS = 5_000;

const API = '/api/v1';

/** VmmPingResponse in vmm/src/api/mod.rs: all that is asked of one that runs. `vm.info` would tell the OEM strings. */
const ping = z.object({ version: z.string(), pid: z.number() });

/** `arch`: of the host, and so of the guest. */
export function cloudHypervisorVmm(programs: CloudHypervisorPrograms, arch: GuestArch): Vmm {
  return {
    problems: (spec, values = []) => [...cloudHypervisorProblems(spec, arch), ...sizeProblems(spec, values)],
    plan: (spec) => [vmmProcess(programs.cloudHypervisor, spec)],
    boot: async (spec, values, signal) => {
      const { sockets } = spec;
      for (const share of spec.shares) await checkShare(share);
      const config = cloudHypervisorConfig(namedByDescriptors(spec).spec, values);
      await vmmRequest(sockets, 'PUT', `${API}/vm.create`, await findLandlock() ? { ...config, ...landlockConfig(spec) } : config, signal);
      for (const network of addedInterfaces(spec)) await addInterface(programs.agent, spec, network, signal);
      await vmmRequest(sockets, 'PUT', `${API}/vm.boot`, undefined, signal);
      return controlOf(sockets);
    },
    connect: async (sockets, signal) => {
      if (!ping.safeParse(await vmmRequest(sockets, 'GET', `${API}/vmm.ping`, undefined, signal)).success) {
        throw fail('launch_failed', 'what listens on the control socket is no Cloud Hypervisor');
      }
      return controlOf(sockets);
    },
  };
}

/** A plan keeps room for what is not a value, and a VM with many disks or a long command line takes more. */
function sizeProblems(spec: VmSpec, values: readonly Secret[]): readonly Problem[] {
  const sizeBytes = Buffer.byteLength(JSON.stringify({ ...cloudHypervisorConfig(spec, values), ...landlockConfig(spec) }));
  return sizeBytes <= REQUEST_MAX_BYTES ? [] : [{
    code: 'value_too_large',
    message: `vm "${spec.name}" is a request of ${sizeBytes} bytes with all that goes over its boot channel; Cloud Hypervisor takes ${REQUEST_MAX_BYTES}`,
    hint: 'deliver some over the live channel, or have fewer disks, shorter paths or a shorter cmdline',
  }];
}

function vmmProcess(program: string, spec: VmSpec): ProcessPlan {
  const { sockets } = spec;
  return {
    role: 'vmm',
    program,
    argv: ['--api-socket', `path=${optionValue(sockets.control)}`],
    descriptors: namedByDescriptors(spec).descriptors,
    readySocket: sockets.control,
    filtersStderr: true,
  };
}

/** Cloud Hypervisor would wait a minute for it. It is not connected to: a virtiofsd serves one connection. */
async function checkShare({ tag, socket }: Share): Promise<void> {
  const lacks = await stat(socket).then((stats) => (stats.isSocket() ? undefined : 'it is no socket'), ({ code }: NodeJS.ErrnoException) => code);
  if (lacks !== undefined) throw fail('launch_failed', `no virtiofsd serves the share ${JSON.stringify(tag)} at ${socket}: ${lacks}`);
}

/** Cloud Hypervisor takes a macvtap by descriptors, one for each pair of queues, and these only once the VM is created. */
async function addInterface(agent: string, spec: VmSpec, network: NetworkInterface, signal: AbortSignal): Promise<void> {
  const path = `${API}/vm.add-net`;
  if (network.kind !== 'macvtap') {
    await vmmRequest(spec.sockets, 'PUT', path, netConfig(network, spec.cpus), signal);
    return;
  }
  const files: FileHandle[] = [];
  try {
    // It passes on no frame for another address than its own.
    const mac = network.mac ?? (await readFile(`/sys/class/net/${network.name}/address`, 'latin1')).trim();
    while (files.length < spec.cpus) files.push(await open(network.device, 'r+'));
    const body = netConfig(network, spec.cpus, mac);
    await putWithDescriptors(agent, spec.sockets, path, body, files.map(({ fd }) => fd), signal);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!/^E[A-Z]+$/.test(code)) throw error;
    throw fail('launch_failed', `macvtap ${JSON.stringify(network.name)} with ${network.device} can't be opened: ${code}`);
  } finally {
    for (const file of files) await file.close();
  }
}

function controlOf(sockets: VmSockets): VmmControl {
  return {
    powerButton: async () => {
      await vmmRequest(sockets, 'PUT', `${API}/vm.power-button`, undefined, AbortSignal.timeout(BUTTON_LIMIT_MS));
    },
    onReset: () => undefined,
    // Each request has a connection of its own.
    close: () => undefined,
  };
}

/** A value inside Cloud Hypervisor's comma-separated options (option_parser): in quotes, in which a quote is written twice. */
function optionValue(value: string): string {
  return /[,"[\]]|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
