// How a command of the agent ends: what it prints, one line for what went wrong, and its exit code.
import * as std from 'std';
import { CREDENTIAL_PREFIX } from '../src/wire/protocol.ts';
import { toFault, type Fault } from './fault.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const UNREACHABLE = ['ETIMEDOUT', 'ECONNRESET', 'ECONNREFUSED', 'ENOTCONN', 'EPIPE', 'ENODEV', 'ENOENT', 'closed', 'timeout', 'refused'];

export function print(text: string): void {
  std.out.puts(text);
  std.out.flush();
}

/** An entry of the host's archive, for people. */
export const titleOf = (entry: string): string =>
  entry.startsWith(CREDENTIAL_PREFIX) ? `credential ${entry.slice(CREDENTIAL_PREFIX.length)}` : entry;

/** Ends the process with the command. `explain` makes a line of a fault: what is wrong, and what to try. */
export function exitAfter(command: Promise<void>, explain: (fault: Fault) => string = explainInGuest): void {
  command.then(
    () => std.exit(0),
    (error: unknown) => {
      const fault = toFault(error);
      std.err.puts(`slicer-agent: error: ${explain(fault)}\n`);
      if (fault.code === 'usage') std.err.puts('slicer-agent: hint: slicer-agent --help\n');
      std.exit(fault.code === 'usage' ? EXIT_USAGE : EXIT_FAILED);
    },
  );
}

function explainInGuest(fault: Fault): string {
  if (fault.secretName === undefined && UNREACHABLE.includes(fault.code)) {
    return `the host can't be reached: ${fault.message}`;
  }
  if (fault.code === 'EADDRINUSE') return `${fault.message}; if the service manager holds the port: systemctl start slicer-agent`;
  return fault.secretName === undefined ? fault.message : `${titleOf(fault.secretName)}: ${fault.message}`;
}
