// How a guest powers off: asked to, or by itself.
import type { VmmControl } from '../vmm/contract.ts';
import { waitForEnd } from './process-table.ts';
import type { LaunchedRecord } from './record.ts';
import { ENDED_WELL } from './watched-process.ts';

/** Asks the guest, and resolves when its VMM has ended or its grace is over; at once where it has none, or can't be asked. */
export async function powerOff({ processes, stop_grace_ms: graceMs }: LaunchedRecord, control: VmmControl | undefined): Promise<void> {
  if (control === undefined || graceMs === 0) return;
  // One that can't take the order is ended by signal when the grace is over.
  void control.powerButton().catch(() => undefined);
  await waitForEnd(processes.filter(({ role }) => role === 'vmm'), graceMs);
}

/**
 * Whether a guest whose VMM ended, and how, had powered itself off. QEMU says so before its socket closes, the
 * others by their exit code: unknown of one that was adopted.
 */
export async function hasPoweredOff(control: VmmControl | undefined, how: string): Promise<boolean> {
  if (control === undefined) return false;
  return control.ended ?? how === ENDED_WELL;
}
