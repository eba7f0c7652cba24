// slicer-agent: the guest's side of Slicer. What is seldom asked for, or not in a guest, has bytecode of its
// own (auxiliary.ts), since reading it is most of what a start takes.
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { parseCommandLine, pathOption, type CommandLine } from './command-line.ts';
import { askRunningAgent, type AgentStatus } from './control.ts';
import { Fault } from './fault.ts';
import { Guest } from './guest.ts';
import { manifestOf, namesIn } from './holdings.ts';
import { exitAfter, print, titleOf } from './outcome.ts';
import { isSecretName } from './places.ts';
import { startHere, startThrough } from './program.ts';
import { DEFAULT_CREDSTORE, DEFAULT_DIRECTORY } from './secrets-directory.ts';
import type { SyncResult } from './sync.ts';
import { unixTransport, vsockTransport, type Transport } from './transport.ts';
import { AGENT_VERSION } from './version.ts';

async function main(args: readonly string[]): Promise<void> {
  const line = parseCommandLine(args);
  if (line.switches.has('--help')) return auxiliary();
  switch (line.words.join(' ')) {
    case 'run': return guestOf(line).run();
    case 'secrets sync': return secretsSync(line);
    case 'secrets list': return secretsList(line);
    case 'status': return status(line);
    case 'userdata': return userdata(line);
    case 'version': return print(`${AGENT_VERSION}\n`);
    default: return auxiliary();
  }
}

/** Runs on, with the same arguments, until it ends the process. */
function auxiliary(): Promise<never> {
  sys.runAuxiliary();
  return new Promise(() => undefined);
}

function guestOf(line: CommandLine): Guest {
  const commands = pathOption(line, '--commands');
  return new Guest({
    transport: transportOf(line),
    secretsPath: directoryOf(line),
    credstorePath: pathOption(line, '--credstore') ?? DEFAULT_CREDSTORE,
    holdUserdata: line.switches.has('--hold-userdata'),
    start: commands === undefined ? startHere : startThrough(commands),
  });
}

const directoryOf = (line: CommandLine): string => pathOption(line, '--dir') ?? DEFAULT_DIRECTORY;

function transportOf(line: CommandLine): Transport {
  const path = line.options.get('--socket');
  if (path !== undefined) return unixTransport(path);
  if (sys.effectiveUid() !== 0) throw new Fault('EPERM', 'only root can do this; try: sudo slicer-agent');
  return vsockTransport();
}

async function secretsSync(line: CommandLine): Promise<void> {
  const result = await askRunningAgent<SyncResult>(`${directoryOf(line)}.agent`, 'sync') ?? await guestOf(line).syncOnce();
  if (line.switches.has('--json')) return print(`${JSON.stringify(result)}\n`);
  for (const verb of ['added', 'changed', 'removed'] as const) {
    for (const name of result[verb]) print(`${verb} ${titleOf(name)}\n`);
  }
  if (line.switches.has('--verbose')) {
    print(`${result.unchanged} unchanged, in ${result.elapsedMs.toFixed(1)} ms\n`);
  }
}

function secretsList(line: CommandLine): void {
  const directory = directoryOf(line);
  const manifest = std.loadFile(manifestOf(directory));
  if (manifest === null) throw new Fault('ESRCH', `no agent has put secrets into ${directory}, or only root can see which`);
  const rows = namesIn(manifest, isSecretName).sort().flatMap((name) => {
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
  if (state === undefined) throw noAgent();
  if (line.switches.has('--json')) return print(`${JSON.stringify(state)}\n`);
  print(`slicer-agent ${state.version}, up ${state.uptimeSeconds.toFixed(0)} s\n`);
  print(`host: ${state.connected ? 'connected' : 'not connected'}\n`);
  print(`secrets: ${state.secrets}, generation ${state.generation ?? 'none'}\n`);
  if (state.credentials > 0) print(`credentials: ${state.credentials}\n`);
  if (state.problem !== undefined) print(`problem: ${state.problem}\n`);
}

async function userdata(line: CommandLine): Promise<void> {
  const ran = await askRunningAgent<boolean>(`${directoryOf(line)}.agent`, 'userdata');
  if (ran === undefined) throw noAgent();
  print(ran ? 'userdata ran\n' : 'there is no userdata, or it was handed out before\n');
}

const noAgent = (): Fault =>
  new Fault('ESRCH', 'no agent runs here, or only root can reach it; start it with: slicer-agent run');

exitAfter(main(scriptArgs.slice(1)));
