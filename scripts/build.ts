// `npm run build`: everything that is needed to run Slicer from this checkout, but for the guest image,
// which `slicer image build` makes.
import { ensureMachine } from '../image/machine.ts';
import { ensureVhostDeviceVsock } from '../image/vhost-device-vsock.ts';
import { buildAgents, buildBundle } from './build-steps.ts';
import { allSteps, beginStages, runScript } from './stage.ts';

runScript(async () => {
  const stages = beginStages();
  await stages.run('packages of this machine', (say) => ensureMachine(['run', 'build'], say));
  await allSteps([
    stages.run('bundle', buildBundle),
    stages.run('vhost-device-vsock', ensureVhostDeviceVsock),
    buildAgents(stages),
  ]);
});
