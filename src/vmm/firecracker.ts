// Firecracker, configured over its API socket: its command line holds a name and a path, and it starts the
// guest when it has taken the last request. What it runs has no boot channel, so no value comes near it.
// Firecracker (1.16) is not trusted further than to run its VM.
import * as z from 'zod';
import { fail } from '../errors/slicer-error.ts';
import type { ProcessPlan, Vmm, VmmControl, VmSockets, VmSpec } from './contract.ts';
import { firecrackerConfig, firecrackerProblems, firecrackerRequests } from './firecracker-config.ts';
import { namedByDescriptors } from './inherited-files.ts';
import { vmmRequest } from './vmm-api.ts';

/** How long a Firecracker that runs may take to pass on the power button. */
const BUTTON_LIMIT_MS = 5_000;

/** InstanceInfo in Firecracker's vmm_config/instance_info.rs: of all that it tells, this holds least. */
const instanceInfo = z.object({ app_name: z.literal('Firecracker'), state: z.enum(['Not started', 'Running', 'Paused']) });

/** `program`: absolute path of `firecracker`. */
export function firecrackerVmm(program: string): Vmm {
  return {
    problems: firecrackerProblems,
    plan: (spec) => [vmmProcess(program, spec)],
    boot: async (spec, _values, signal) => {
      for (const { path, body } of firecrackerRequests(firecrackerConfig(namedByDescriptors(spec).spec))) {
        await vmmRequest(spec.sockets, 'PUT', path, body, signal);
      }
      return controlOf(spec.sockets);
    },
    connect: async (sockets, signal) => {
      const info = instanceInfo.safeParse(await vmmRequest(sockets, 'GET', '/', undefined, signal));
      if (!info.success) throw fail('launch_failed', 'what listens on the control socket is no Firecracker');
      if (info.data.state !== 'Running') {
        throw fail('launch_failed', `expected firecracker to run its guest, its state is ${info.data.state}`);
      }
      return controlOf(sockets);
    },
  };
}

function vmmProcess(program: string, spec: VmSpec): ProcessPlan {
  const { name, sockets } = spec;
  return {
    role: 'vmm',
    program,
    // Its log goes where the guest's console does. At more than this it tells each request that it takes, and
    // what guests do by the way.
    argv: ['--id', name, '--api-sock', sockets.control, '--level', 'Error'],
    descriptors: namedByDescriptors(spec).descriptors,
    readySocket: sockets.control,
    filtersStderr: false,
  };
}

function controlOf(sockets: VmSockets): VmmControl {
  return {
    // Ctrl+Alt+Del on a keyboard; what that does is the guest's choice. Firecracker refuses it on aarch64.
    powerButton: async () => {
      await vmmRequest(sockets, 'PUT', '/actions', { action_type: 'SendCtrlAltDel' }, AbortSignal.timeout(BUTTON_LIMIT_MS));
    },
    // A reset ends Firecracker.
    onReset: () => undefined,
    close: () => undefined,
  };
}
