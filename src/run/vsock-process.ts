// The VSOCK process of a VM in the foreground, which gets another in its place as a daemon's does.
import type { StartedVm } from '../vm/start.ts';
import { VsockKeeper } from '../vm/vsock-keeper.ts';
import type { WatchedProcess } from '../vm/watched-process.ts';
import type { ProcessPlan, VsockReplacement } from '../vmm/contract.ts';

export interface KeptVsock {
  /** Resolves, with why, when the VM is to go on without VSOCK. */
  readonly lost: Promise<string>;
  /** The processes that took the place of one before; they are the caller's to end. */
  readonly replacements: readonly WatchedProcess[];
  guestReset(): void;
  close(): void;
}

export function keepVsock(
  started: StartedVm,
  replacement: VsockReplacement | undefined,
  start: (plan: ProcessPlan) => Promise<WatchedProcess>,
  tell: (what: string) => void,
): KeptVsock {
  const replacements: WatchedProcess[] = [];
  let lose: (reason: string) => void = () => undefined;
  const lost = new Promise<string>((resolve) => { lose = resolve; });
  const keeper = new VsockKeeper({
    ...started, replacement, lost: lose, tell,
    start: async (plan) => {
      const process = await start(plan);
      replacements.push(process);
      return process;
    },
  });
  return { lost, replacements, guestReset: () => keeper.guestReset(), close: () => keeper.close() };
}
