// The rate of this machine's time-stamp counter, which an emulated guest sees as its own. QEMU's microvm
// has no other clock to measure it with, and under KVM the kernel tells it.
import { readFile } from 'node:fs/promises';

/** In kHz; undefined where /proc/cpuinfo does not say: not on x86. */
export function tscKhzOf(cpuinfo: string): number | undefined {
  // The nominal rate in a name is the counter's; the current one may be that of a faster or slower moment.
  const nominal = /^model name\s*:.*@ ([0-9]{1,6}(?:\.[0-9]+)?)GHz$/m.exec(cpuinfo)?.[1];
  if (nominal !== undefined) return Math.round(Number(nominal) * 1_000_000);
  const current = /^cpu MHz\s*:\s*([0-9]{1,6}(?:\.[0-9]+)?)$/m.exec(cpuinfo)?.[1];
  return current === undefined ? undefined : Math.round(Number(current) * 1_000);
}

export const findTscKhz = async (): Promise<number | undefined> =>
  tscKhzOf(await readFile('/proc/cpuinfo', 'latin1').catch(() => ''));
