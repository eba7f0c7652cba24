// The main job in one command, on real parts: a secret on the host reaches a VM, and a change of it does
// too, while another secret stays out. Everything it starts it removes again, whatever happens.
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fail } from '../src/errors/slicer-error.ts';
import { CHECKOUT } from './build-steps.ts';
import { setUp } from './setup-steps.ts';
import { beginStages, runScript, type Stages } from './stage.ts';

const SLICER = join(CHECKOUT, 'bin/slicer');
const SHELL_PROMPT = '    $ ';
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 50;

/** A Slicer of its own in a temporary directory, spoken to through the CLI as a user does. */
class Demonstration {
  readonly #directory: string;
  readonly #interrupted: AbortSignal;
  #daemon: ChildProcess | undefined;
  #daemonLog = '';

  /** What runs ends when `interrupted` aborts; end() is still to be called. */
  constructor(directory: string, interrupted: AbortSignal) {
    this.#directory = directory;
    this.#interrupted = interrupted;
  }

  async start(): Promise<void> {
    await writeFile(join(this.#directory, 'slicer.yaml'), await this.#run(['new', 'web']));
    // Detached: Ctrl-C reaches all of a terminal's process group, and end() is what ends the daemon.
    const daemon = spawn(SLICER, ['up'], { cwd: this.#directory, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#daemon = daemon;
    daemon.stderr.on('data', (chunk) => (this.#daemonLog += chunk));
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!existsSync(join(this.#directory, 'slicer.sock'))) {
      if (this.#interrupted.aborted) throw interruption();
      if (daemon.exitCode !== null || Date.now() > deadline) {
        throw fail('internal', `slicer up did not start: ${this.#daemonLog.trim()}`, 'bin/slicer up --help');
      }
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
  }

  /** Shows a command as typed and what it prints; returns its stdout. */
  async show(args: readonly string[], input?: string): Promise<string> {
    const typed = args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ');
    console.log(`${SHELL_PROMPT}${input === undefined ? '' : `echo ${'*'.repeat(8)} | `}slicer ${typed}`);
    const stdout = await this.#run(args, input);
    if (stdout !== '') console.log(stdout.trimEnd().replaceAll(/^/gm, '    '));
    return stdout;
  }

  async #run(args: readonly string[], input = ''): Promise<string> {
    if (this.#interrupted.aborted) throw interruption();
    const child = spawn(SLICER, args, { cwd: this.#directory });
    const kill = (): void => void child.kill();
    this.#interrupted.addEventListener('abort', kill);
    child.stdin.on('error', () => {}).end(input);
    const [[status], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
    this.#interrupted.removeEventListener('abort', kill);
    if (this.#interrupted.aborted) throw interruption();
    if (status !== 0) throw fail('internal', `slicer ${args.join(' ')} ended with ${status}: ${stderr.trim()}`, 'the lines above say how far it came');
    process.stderr.write(stderr.replaceAll(/^/gm, '    ').replace(/ {4}$/, ''));
    return stdout;
  }

  async end(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null) {
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
    }
    await rm(this.#directory, { recursive: true });
  }
}

const interruption = () => fail('internal', 'interrupted');

const digest = (value: string): string => createHash('sha256').update(value).digest('hex');

async function demonstrate(stages: Stages, slicer: Demonstration): Promise<void> {
  await stages.run('start slicer', () => slicer.start());

  await stages.run('create two secrets', async () => {
    await slicer.show(['secret', 'create', 'api-key', '--uid=1000', '--gid=1000'], `${randomBytes(5).toString('hex')}\n`);
    await slicer.show(['secret', 'create', 'other-key'], `${randomBytes(5).toString('hex')}\n`);
    await slicer.show(['secret', 'list', '-v']);
  });

  const vm = await stages.run('launch a VM that is granted api-key', async () =>
    (await slicer.show(['vm', 'launch', '--secret=api-key', '--wait', '--timeout=2m'])).trim());

  await stages.run('look from inside the VM', async () => {
    const listed = await slicer.show(['vm', 'exec', vm, '--', 'ls', '-l', '/run/slicer/secrets/']);
    if (!/^-rw-------.* ubuntu +ubuntu .*\bapi-key$/m.test(listed)) throw fail('internal', 'api-key is not in the VM as it should be');
    if (listed.includes('other-key')) throw fail('internal', 'the VM has a secret that it was not granted');
    console.log('    other-key is not there: this VM was not granted it');
  });

  await stages.run('change the secret on the host', async () => {
    const value = `${randomBytes(16).toString('hex')}\n`;
    const before = performance.now();
    await slicer.show(['secret', 'update', 'api-key'], value);
    const tookMs = performance.now() - before;
    const inside = await slicer.show(['vm', 'exec', vm, '--', 'sha256sum', '/run/slicer/secrets/api-key']);
    if (!inside.startsWith(digest(value))) throw fail('internal', 'the VM does not have the new value');
    console.log(`    the digest is the new value's; it was in the VM ${tookMs.toFixed(0)} ms after the command began`);
    await slicer.show(['vm', 'secrets', vm]);
  });
}

runScript(async () => {
  console.log('Slicer: a secret on this host reaches a microVM\n');
  const stages = beginStages();
  await setUp(stages, ['run', 'build']);
  console.log();
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());
  const slicer = new Demonstration(await mkdtemp(join(tmpdir(), 'slicer-quickstart-')), interrupt.signal);
  try {
    await demonstrate(stages, slicer);
  } finally {
    await stages.run('remove all of it', () => slicer.end());
  }
  console.log(`\nDone in ${(stages.elapsedMs() / 1000).toFixed(1)} s. Next: bin/slicer --help, README.md`);
});
