// What one VM tells of itself: secrets, console log, health.
import { routes } from '../api/routes.ts';
import { fail } from '../errors/slicer-error.ts';
import type { LiveVm } from '../live/contract.ts';
import type { Vms } from '../vm/contract.ts';
import type { LiveVms } from './live-vms.ts';
import { vmSecretsJson } from './node-json.ts';
import { vmNamed } from './node-routes.ts';
import type { Attach } from './router.ts';

const DEFAULT_LOG_LINES = 20;
const NANOSECONDS = 1e9;

export function attachVmRoutes(attach: Attach, vms: Vms, live: LiveVms): void {
  attach(routes.listNodeSecrets, async () => vms.list().map(({ hostname }) => vmSecretsJson(hostname, live.get(hostname)?.status())));

  attach(routes.vmSecrets, async ({ params }) => {
    const { hostname } = vmNamed(vms, params.hostname);
    return vmSecretsJson(hostname, live.get(hostname)?.status());
  });

  attach(routes.vmLogs, async ({ params, query }) => {
    const { hostname } = vmNamed(vms, params.hostname);
    const { lines, content } = await vms.logs(hostname, query.lines ?? DEFAULT_LOG_LINES);
    return { hostname, lines, content };
  });

  attach(routes.vmHealth, async ({ params, context }) => {
    const vm = vmNamed(vms, params.hostname);
    const call = await servedVm(vms, live, vm.hostname).call(goneSignal(context.env.outgoing));
    try {
      const health = await call.health();
      // As it is by now: it may have ended while the guest was asked.
      const now = vms.get(vm.hostname);
      const userdata = now?.kind === 'launched' ? now.userdata : { state: 'none' as const };
      return {
        hostname: vm.hostname,
        agent_uptime: Math.round(health.agent_uptime * NANOSECONDS),
        agent_version: health.agent_version,
        system_uptime: Math.round(health.system_uptime * NANOSECONDS),
        userdata_ran: health.userdata_ran || userdata.state === 'done',
        ...(userdata.state === 'done' ? { userdata_exit_code: userdata.exitCode } : {}),
      };
    } finally {
      call.close();
    }
  });
}

/** Throws vm_not_found, vm_not_running, agent_not_ready. */
export function servedVm(vms: Vms, live: LiveVms, hostname: string): LiveVm {
  const vm = vmNamed(vms, hostname);
  if (vm.status !== 'running') {
    const reason = vm.reason === undefined ? '' : `: ${vm.reason}`;
    throw fail('vm_not_running', `vm "${vm.hostname}" is ${vm.status}${reason}`, `slicer vm logs ${vm.hostname}`);
  }
  const served = live.get(hostname);
  if (served === undefined) throw fail('agent_not_ready', `vm "${vm.hostname}" is not served; the daemon's log says why`);
  return served;
}

/** Aborts when the client has gone. */
export function goneSignal(outgoing: NodeJS.EventEmitter): AbortSignal {
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort(fail('shutting_down', 'the client has gone')));
  return gone.signal;
}
