// What the agent and the service manager that started it say to each other: systemd's protocols for
// readiness (sd_notify(3)) and for sockets that the manager opened (sd_listen_fds(3)). Where none did, nothing.
import * as std from 'std';
import * as sys from 'sys';
import { AGENT_PORT } from '../src/wire/ports.ts';
import { Fault } from './fault.ts';

const FIRST_DESCRIPTOR = 3;

/** Tells the manager; that it does not listen is no fault of the agent's work. */
export function notifyManager(ready: boolean, status: string): void {
  const path = std.getenv('NOTIFY_SOCKET');
  if (path === undefined || !/^[@/]/.test(path)) return;
  try {
    sys.notify(path, `${ready ? 'READY=1\n' : ''}STATUS=${status.replace(/[\x00-\x1f]/g, ' ')}`);
  } catch {
    // It has ended, or is not ready for more.
  }
}

/**
 * The listener on the agent's port that the manager holds, so that nobody takes the port while the agent
 * restarts; undefined where the agent has to listen by itself. Throws for any other descriptor.
 */
export function inheritedListener(): number | undefined {
  if (!hasInherited()) return undefined;
  if (sys.adoptListener(FIRST_DESCRIPTOR) !== AGENT_PORT) {
    throw new Fault('usage', `expected a listener on VSOCK port ${AGENT_PORT} from the service manager, got another socket`);
  }
  return FIRST_DESCRIPTOR;
}

/** The same for a Unix socket. */
export function inheritedUnixListener(): number | undefined {
  if (!hasInherited()) return undefined;
  if (sys.adoptListener(FIRST_DESCRIPTOR) === -1) return FIRST_DESCRIPTOR;
  throw new Fault('usage', 'expected a Unix socket from the service manager, got another one');
}

function hasInherited(): boolean {
  if (std.getenv('LISTEN_PID') !== String(sys.processId())) return false;
  const count = std.getenv('LISTEN_FDS');
  if (count === undefined || count === '0') return false;
  if (count !== '1') throw new Fault('usage', `expected one socket from the service manager, got ${count}`);
  return true;
}
