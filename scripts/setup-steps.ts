// The steps from a fresh machine to one where a VM can be launched. What can be done side by side is: the
// agents keep the processors busy while the packages of the guest are fetched.
import { ensureBusybox } from '../image/busybox.ts';
import { ensureKernel } from '../image/kernel.ts';
import { ensureMachine, type Purpose } from '../image/machine.ts';
import { ensureTinyImage } from '../image/tiny.ts';
import type { GuestImage } from '../image/guest-images.ts';
import { ensureVhostDeviceVsock } from '../image/vhost-device-vsock.ts';
import { buildAgents, buildBundle } from './build-steps.ts';
import { allSteps, type Stages } from './stage.ts';

export async function setUp(stages: Stages, purposes: readonly Purpose[]): Promise<GuestImage> {
  await stages.run('packages of this machine', (say) => ensureMachine(purposes, say));
  await allSteps([
    stages.run('bundle', buildBundle),
    buildAgents(stages),
    stages.run('guest kernel', ensureKernel),
    stages.run('busybox', ensureBusybox),
    stages.run('vhost-device-vsock', ensureVhostDeviceVsock),
  ]);
  return stages.run('guest image', ensureTinyImage);
}
