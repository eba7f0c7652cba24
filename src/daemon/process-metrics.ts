// What Prometheus' client libraries tell of their process, by the same names (proc(5)).
import { readdir, readFile } from 'node:fs/promises';
import { counter, gauge, type Family } from './prometheus-text.ts';

const MICROSECONDS = 1e6;

export async function processFamilies(nowMs: number): Promise<Family[]> {
  const { user, system } = process.cpuUsage();
  const [descriptors, limits] = await Promise.all([readdir('/proc/self/fd'), readFile('/proc/self/limits', 'utf8')]);
  return [
    gauge('process_resident_memory_bytes', 'Resident memory of the daemon.', process.memoryUsage.rss()),
    counter('process_cpu_seconds_total', 'User and system time of the daemon.', (user + system) / MICROSECONDS),
    // One of them is the listing's own.
    gauge('process_open_fds', 'Open file descriptors of the daemon.', descriptors.length - 1),
    gauge('process_max_fds', 'How many file descriptors the daemon may have open.', openFilesIn(limits)),
    gauge('process_start_time_seconds', 'When the daemon started, in seconds since 1970.', nowMs / 1000 - process.uptime()),
  ];
}

/** The soft limit of proc_pid_limits(5). */
export const openFilesIn = (limits: string): number => Number(/^Max open files +([0-9]{1,15}) /m.exec(limits)?.[1] ?? Infinity);
