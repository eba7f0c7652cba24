// What a process has cost so far, as the kernel counts it.
import { readdirSync, readFileSync } from 'node:fs';

/** Milliseconds on a processor, of all threads that there are now (schedstat: nanoseconds, where stat has ticks of 10 ms). */
export function processorMs(pid: number): number {
  let totalNs = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    totalNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
  }
  return totalNs / 1e6;
}

export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) * 1024;
}
