// The steps from a fresh machine to one where a VM can be launched. What can be done side by side is: the
// agents keep the processors busy while the packages of the guest are fetched.
import { ensureBusybox } from '../image/busybox.ts';
import { ensureDebianImage } from '../image/debian.ts';
import { ensureKernel } from '../image/kernel.ts';
import { ensureMachine, type Purpose } from '../image/machine.ts';
import { ensureTinyImage } from '../image/tiny.ts';
import { ensureVhostDeviceVsock } from '../image/vhost-device-vsock.ts';
import { buildAgents, buildBundle } from './build-steps.ts';
import { allSteps, type Stages } from './stage.ts';

export async function setUp(stages: Stages, purposes: readonly Purpose[]): Promise<void> {
  await stages.run('packages of this machine', (say) => ensureMachine(purposes, say));
  await allSteps([
    stages.run('bundle', buildBundle),
    buildAgents(stages),
    stages.run('guest kernel', ensureKernel),
    stages.run('busybox', ensureBusybox),
    stages.run('vhost-device-vsock', ensureVhostDeviceVsock),
  ]);
  await stages.run('guest image', ensureTinyImage);
  if (purposes.includes('debian')) await stages.run('Debian guest image', ensureDebianImage);
}
