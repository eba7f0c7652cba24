// GET /metrics, for Prometheus. How many series there are does not depend on what there is, but for the
// names of states and reasons, which are ours: no VM, secret or actor is a label.
import { routes } from '../api/routes.ts';
import { VERSION } from '../api/version.ts';
import type { Store } from '../store/store.ts';
import type { Vms, VmStatus } from '../vm/contract.ts';
import type { Auditor } from './auditor.ts';
import type { LiveVms } from './live-vms.ts';
import { processFamilies } from './process-metrics.ts';
import { byLabel, counter, formatFamilies, gauge, PROMETHEUS_TYPE, type Family } from './prometheus-text.ts';
import type { Attach } from './router.ts';

export interface MeasuredParts {
  readonly store: Store;
  readonly vms: Vms;
  readonly live: LiveVms;
  readonly audit: Auditor;
}

const STATES: readonly VmStatus[] = ['starting', 'running', 'stopping', 'stopped', 'failed'];

export function attachMetricsRoute(attach: Attach, parts: MeasuredParts): void {
  attach(routes.metrics, async () => {
    const text = formatFamilies([...families(parts), ...await processFamilies(Date.now())]);
    return new Response(text, { headers: { 'Content-Type': PROMETHEUS_TYPE } });
  });
}

function families({ store, vms, live, audit }: MeasuredParts): Family[] {
  const { secrets, skipped, problem, counter: changes } = store.snapshot();
  const { written, lost, isWritable } = audit.log.counts();
  const all = vms.list();
  const served = all.flatMap(({ hostname }) => live.get(hostname)?.summary() ?? []);
  const many = (is: (summary: (typeof served)[number]) => boolean): number => served.filter(is).length;
  return [
    byLabel('gauge', 'slicer_build_info', 'The version of the daemon.', 'version', [[VERSION, 1]]),
    byLabel('gauge', 'slicer_vms', 'VMs, by state.', 'state', STATES.map((state) => [state, all.filter(({ status }) => status === state).length])),
    gauge('slicer_vms_connected', 'VMs whose agent has a session and asks for changes.', many(({ connected }) => connected)),
    gauge('slicer_vms_synced', 'VMs that have had all their secrets since they were launched or adopted.', many(({ synced }) => synced)),
    gauge('slicer_vms_current', 'VMs that hold the newest value of each of their secrets.', many(({ isCurrent }) => isCurrent)),
    gauge('slicer_secrets', 'Secrets in the store.', secrets.size),
    gauge('slicer_store_skipped_files', 'Files of the store that are not served.', skipped.length),
    gauge('slicer_store_usable', '0 while something is wrong with the store\'s directory and changes are refused.', Number(problem === undefined)),
    counter('slicer_store_changes_total', 'Changes of secrets, over the API and by hand; those found at the start are among them.', changes),
    byLabel('counter', 'slicer_deliveries_total', 'Secrets sent to VMs, by channel.', 'channel', Object.entries(audit.reads)),
    audit.pushes.family('slicer_push_seconds', 'From a change until a VM that waited for it confirmed it.'),
    byLabel('counter', 'slicer_guest_refusals_total', 'What guests were refused, by reason.', 'reason', audit.guestRefusals),
    byLabel('counter', 'slicer_api_refusals_total', 'Requests of the API that were refused, by reason.', 'reason', audit.apiRefusals),
    counter('slicer_audit_records_total', 'Records written to the audit log.', written),
    counter('slicer_audit_suppressed_total', 'Records that are only in the count of another.', audit.suppressed),
    counter('slicer_audit_lost_total', 'Records that could not be written.', lost),
    gauge('slicer_audit_writable', '0 while the audit log can\'t be written and changes are refused.', Number(isWritable)),
  ];
}
