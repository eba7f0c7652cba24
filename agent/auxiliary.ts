// The commands that no guest needs to get its secrets: putting the agent into a system, the small processes
// that a VM needs on the host beside its VMM, and what tells how to use all of them.
import { GUEST_CID_MAX, GUEST_CID_MIN } from '../src/wire/ports.ts';
import * as sys from 'sys';
import { serveCommands } from './commands.ts';
import { parseCommandLine, pathOption, type CommandLine } from './command-line.ts';
import { keepConsoleLog } from './console-log.ts';
import { Fault } from './fault.ts';
import { sendHttpRequest } from './http-request.ts';
import { install, uninstall } from './install.ts';
import { exitAfter, print } from './outcome.ts';
import { relayVsock } from './relay.ts';
import { inheritedUnixListener } from './service-manager.ts';
import { DEFAULT_CREDSTORE, DEFAULT_DIRECTORY } from './secrets-directory.ts';
import { AGENT_VERSION } from './version.ts';

const HELP = `slicer-agent ${AGENT_VERSION}: keeps the secrets that the host grants this VM in ${DEFAULT_DIRECTORY}

usage:
  slicer-agent run                run at boot, as root: syncs, runs userdata once, applies changes as they come
  slicer-agent secrets sync [-v]  ask the host now; prints what was added, changed and removed (-v: and what was not)
  slicer-agent secrets list       names, sizes, modes and owners of the secrets that are in place
  slicer-agent status             whether the agent runs and holds what the host wants it to
  slicer-agent userdata           let userdata run that \`run --hold-userdata\` holds back, and wait for its end
  slicer-agent install            make the agent part of this system's boot, under the init system that it finds
  slicer-agent uninstall          take out what install put in
  slicer-agent commands --commands PATH   starts programs for slicer-agent run, where that is in a sandbox and they are not to be
  slicer-agent version

options:
  --dir DIR        the secrets directory, on tmpfs (default ${DEFAULT_DIRECTORY})
  --credstore DIR  where credentials go, on tmpfs (default ${DEFAULT_CREDSTORE})
  --socket PATH    a Unix socket in the place of the VM's VSOCK device: the host's per-VM socket PATH
  --json           for secrets sync, secrets list and status
  --hold-userdata  for run: userdata waits for slicer-agent userdata
  --commands PATH  for run: commands and userdata are started by slicer-agent commands, which listens at PATH
  --root DIR       for install and uninstall: the system whose root is DIR
  --init INIT      for install and uninstall: systemd, openrc or inittab, whatever is there

On the host:
  slicer-agent console --file FILE --max-bytes N [--diagnostics-fd 3]
      copies stdin to FILE and FILE.1, at most N bytes in all; lines from descriptor 3 too, without what could be a secret
  slicer-agent vsock --cid N --port P --uds-path PATH [--guest-socket GUEST]
      the kernel's VSOCK as a Unix socket: the guest's connections to port P go to PATH_901, CONNECT Q on PATH to its port Q
      (GUEST: the Unix sockets GUEST_P and GUEST_Q in the place of VSOCK)
  slicer-agent http-fds --socket PATH --count N
      sends the HTTP request on stdin, and with it the N descriptors from 3 on; prints the response
`;

/** What one message takes here; the kernel takes 253 (unix(7)). */
const DESCRIPTORS_MAX = 64;
/** Ports that only root can bind. */
const RESERVED_PORT_MAX = 1023;

async function main(args: readonly string[]): Promise<void> {
  const line = parseCommandLine(args);
  if (line.switches.has('--help')) return print(HELP);
  switch (line.words.join(' ')) {
    case 'commands': return serveCommands(inheritedUnixListener() ?? sys.unixListen(required(line, '--commands')));
    case 'install': return install(rootOf(line), line.options.get('--init'), print);
    case 'uninstall': return uninstall(rootOf(line), line.options.get('--init'), print);
    case 'console': return consoleLog(line);
    case 'vsock': return relay(line);
    case 'http-fds': return sendHttpRequest(required(line, '--socket'), numberOption(line, '--count', 0, DESCRIPTORS_MAX));
    default: throw new Fault('usage', line.words.length === 0 ? 'a command is missing' : `unknown command ${line.words.join(' ')}`);
  }
}

/** As a prefix of absolute paths: empty for the system's own. */
const rootOf = (line: CommandLine): string => (line.options.get('--root') === '/' ? '' : pathOption(line, '--root') ?? '');

function required(line: CommandLine, name: string): string {
  const value = line.options.get(name);
  if (value === undefined) throw new Fault('usage', `${line.words.join(' ')} needs ${name}`);
  return value;
}

function numberOption(line: CommandLine, name: string, min: number, max: number): number {
  const text = required(line, name);
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new Fault('usage', `expected a number from ${min} to ${max} for ${name}, got ${text}`);
  return value;
}

function consoleLog(line: CommandLine): Promise<void> {
  const diagnosticsFd = line.options.has('--diagnostics-fd') ? numberOption(line, '--diagnostics-fd', 3, 1000) : undefined;
  return keepConsoleLog(required(line, '--file'), numberOption(line, '--max-bytes', 2, Number.MAX_SAFE_INTEGER), diagnosticsFd);
}

function relay(line: CommandLine): never {
  return relayVsock({
    cid: numberOption(line, '--cid', GUEST_CID_MIN, GUEST_CID_MAX),
    port: numberOption(line, '--port', 1, RESERVED_PORT_MAX),
    udsPath: required(line, '--uds-path'),
    guestSocket: line.options.get('--guest-socket'),
  });
}

exitAfter(main(scriptArgs.slice(1)), ({ message }) => message);
