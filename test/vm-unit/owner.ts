// A daemon to be killed: opens VMs and launches one, says how far it got, and waits for its end.
// Arguments: the options of openVms and the request as JSON, and where to hang: "beforeStart" or "running".
import { randomBytes } from 'node:crypto';
import { openVms } from '../../src/vm/vms.ts';

const [options, request, hang] = process.argv.slice(2) as [string, string, string];
const reached = (step: string): void => void process.stdout.write(`${step}\n`);
setInterval(() => undefined, 1_000_000);

const vms = await openVms({ ...JSON.parse(options), now: Date.now, randomBytes, warn: reached });
const { userdata, ...rest } = JSON.parse(request);
const vm = await vms.launch({ ...rest, ...(userdata === undefined ? {} : { userdata: Buffer.from(userdata) }) }, {
  beforeStart: () => {
    reached('beforeStart');
    return hang === 'beforeStart' ? new Promise(() => undefined) : Promise.resolve();
  },
});
reached(vm.status);
