// slicer-agent: the guest's side of Slicer, and on the host the process that keeps a VM's console log.
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { parseCommandLine, type CommandLine } from './command-line.ts';
import { keepConsoleLog } from './console-log.ts';
import { askRunningAgent, type AgentStatus } from './control.ts';
import { Fault, toFault } from './fault.ts';
import { Guest } from './guest.ts';
import { DEFAULT_DIRECTORY } from './secrets-directory.ts';
import type { SyncResult } from './sync.ts';
import { unixTransport, vsockTransport, type Transport } from './transport.ts';
import { AGENT_VERSION } from './version.ts';

const HELP = `slicer-agent ${AGENT_VERSION}: keeps the secrets that the host grants this VM in ${DEFAULT_DIRECTORY}

usage:
  slicer-agent run                run at boot, as root: syncs, runs userdata once, applies changes as they come
  slicer-agent secrets sync [-v]  ask the host now; prints what was added, changed and removed (-v: and what was not)
  slicer-agent secrets list       names, sizes, modes and owners of the secrets that are in place
  slicer-agent status             whether the agent runs and holds what the host wants it to
  slicer-agent version

options:
  --dir DIR      the secrets directory, on tmpfs (default ${DEFAULT_DIRECTORY})
  --socket PATH  a Unix socket in the place of the VM's VSOCK device: the host's per-VM socket PATH
  --json         for secrets sync, secrets list and status

On the host:
  slicer-agent console --file FILE --max-bytes N   copies stdin to FILE and FILE.1, at most N bytes in all
`;

const ACCEPTS = {
  options: ['--dir', '--socket', '--file', '--max-bytes'],
  switches: ['-v', '--verbose', '--json', '--help', '-h'],
};

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

async function main(args: readonly string[]): Promise<void> {
  const line = parseCommandLine(args, ACCEPTS);
  if (line.switches.has('--help') || line.switches.has('-h')) return print(HELP);
  switch (line.words.join(' ')) {
    case 'run': return new Guest(transportOf(line), directoryOf(line)).run();
    case 'secrets sync': return secretsSync(line);
    case 'secrets list': return secretsList(line);
    case 'status': return status(line);
    case 'version': return print(`${AGENT_VERSION}\n`);
    case 'console': return consoleLog(line);
    default: throw new Fault('usage', line.words.length === 0 ? 'a command is missing' : `unknown command ${line.words.join(' ')}`);
  }
}

function directoryOf(line: CommandLine): string {
  const path = line.options.get('--dir') ?? DEFAULT_DIRECTORY;
  if (!path.startsWith('/') || path.endsWith('/')) throw new Fault('usage', `expected an absolute path for --dir, got ${path}`);
  return path;
}

function transportOf(line: CommandLine): Transport {
  const path = line.options.get('--socket');
  if (path !== undefined) return unixTransport(path);
  if (sys.effectiveUid() !== 0) throw new Fault('EPERM', 'only root can do this; try: sudo slicer-agent');
  return vsockTransport();
}

async function secretsSync(line: CommandLine): Promise<void> {
  const directory = directoryOf(line);
  const transport = transportOf(line);
  const result = await askRunningAgent<SyncResult>(`${directory}.agent`, 'sync')
    ?? await new Guest(transport, directory).syncOnce();
  if (line.switches.has('--json')) return print(`${JSON.stringify(result)}\n`);
  for (const verb of ['added', 'changed', 'removed'] as const) {
    for (const name of result[verb]) print(`${verb} ${name}\n`);
  }
  if (line.switches.has('-v') || line.switches.has('--verbose')) {
    print(`${result.unchanged} unchanged, in ${result.elapsedMs.toFixed(1)} ms\n`);
  }
}

function secretsList(line: CommandLine): void {
  const directory = directoryOf(line);
  const manifest = std.loadFile(`${directory}.agent/.manifest`);
  if (manifest === null) throw new Fault('ESRCH', `no agent has put secrets into ${directory}, or only root can see which`);
  const rows = manifest.split('\n').filter((name) => name !== '').sort().flatMap((name) => {
    const [file] = os.stat(`${directory}/${name}`);
    return file === null ? [] : [{
      name, size: file.size, permissions: (file.mode & 0o777).toString(8).padStart(4, '0'), uid: file.uid, gid: file.gid,
    }];
  });
  if (line.switches.has('--json')) return print(`${JSON.stringify(rows)}\n`);
  for (const { permissions, uid, gid, size, name } of rows) {
    print(`${permissions} ${uid}:${gid} ${String(size).padStart(8)} ${name}\n`);
  }
}

async function status(line: CommandLine): Promise<void> {
  const state = await askRunningAgent<AgentStatus>(`${directoryOf(line)}.agent`, 'status');
  if (state === undefined) throw new Fault('ESRCH', 'no agent runs here, or only root can reach it; start it with: slicer-agent run');
  if (line.switches.has('--json')) return print(`${JSON.stringify(state)}\n`);
  print(`slicer-agent ${state.version}, up ${state.uptimeSeconds.toFixed(0)} s\n`);
  print(`host: ${state.connected ? 'connected' : 'not connected'}\n`);
  print(`secrets: ${state.secrets}, generation ${state.generation ?? 'none'}\n`);
  if (state.problem !== undefined) print(`problem: ${state.problem}\n`);
}

function consoleLog(line: CommandLine): void {
  const file = line.options.get('--file');
  const maxBytes = Number(line.options.get('--max-bytes'));
  if (file === undefined || !(maxBytes >= 2)) throw new Fault('usage', 'console needs --file FILE and --max-bytes N');
  keepConsoleLog(file, maxBytes);
}

function print(text: string): void {
  std.out.puts(text);
  std.out.flush();
}

const UNREACHABLE = ['ETIMEDOUT', 'ECONNRESET', 'ECONNREFUSED', 'ENOTCONN', 'EPIPE', 'ENODEV', 'ENOENT', 'closed', 'timeout', 'refused'];

/** One line for people: what is wrong, and what to try. */
function explain(fault: Fault): string {
  if (fault.secretName === undefined && UNREACHABLE.includes(fault.code)) {
    return `the host can't be reached: ${fault.message}`;
  }
  return fault.secretName === undefined ? fault.message : `${fault.secretName}: ${fault.message}`;
}

main(scriptArgs.slice(1)).then(
  () => std.exit(0),
  (error: unknown) => {
    const fault = toFault(error);
    std.err.puts(`slicer-agent: error: ${explain(fault)}\n`);
    if (fault.code === 'usage') std.err.puts('slicer-agent: hint: slicer-agent --help\n');
    std.exit(fault.code === 'usage' ? EXIT_USAGE : EXIT_FAILED);
  },
);
