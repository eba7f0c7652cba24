// The main job in one command, on real parts: a secret on the host reaches a VM, and a change of it does
// too, while another secret stays out. Everything it starts it removes again, whatever happens.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  #daemon: ChildProcess | undefined;
  #daemonLog = '';

  constructor(directory: string) {
    this.#directory = directory;
  }

  async start(): Promise<void> {
    await writeFile(join(this.#directory, 'slicer.yaml'), this.#run(['new', 'web']));
    const daemon = spawn(SLICER, ['up'], { cwd: this.#directory, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#daemon = daemon;
    daemon.stderr.on('data', (chunk) => (this.#daemonLog += chunk));
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!existsSync(join(this.#directory, 'slicer.sock'))) {
      if (daemon.exitCode !== null || Date.now() > deadline) {
        throw fail('internal', `slicer up did not start: ${this.#daemonLog.trim()}`, 'bin/slicer up --help');
      }
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
  }

  /** Shows a command as typed and what it prints; returns its stdout. */
  show(args: readonly string[], input?: string): string {
    const typed = args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ');
    console.log(`${SHELL_PROMPT}${input === undefined ? '' : `echo ${'*'.repeat(8)} | `}slicer ${typed}`);
    const stdout = this.#run(args, input);
    if (stdout !== '') console.log(stdout.trimEnd().replaceAll(/^/gm, '    '));
    return stdout;
  }

  #run(args: readonly string[], input = ''): string {
    const { status, stdout, stderr } = spawnSync(SLICER, args, { cwd: this.#directory, input, encoding: 'utf8' });
    if (status !== 0) throw fail('internal', `slicer ${args.join(' ')} ended with ${status}: ${stderr.trim()}`, 'the lines above say how far it came');
    process.stderr.write(stderr.replaceAll(/^/gm, '    ').replace(/ {4}$/, ''));
    return stdout;
  }

  async end(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon !== undefined && daemon.exitCode === null) {
      daemon.kill('SIGTERM');
      await once(daemon, 'exit');
    }
    await rm(this.#directory, { recursive: true });
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

async function demonstrate(stages: Stages, slicer: Demonstration): Promise<void> {
  await stages.run('start slicer', () => slicer.start());

  await stages.run('create two secrets', async () => {
    slicer.show(['secret', 'create', 'api-key', '--uid=1000', '--gid=1000'], `${randomBytes(5).toString('hex')}\n`);
    slicer.show(['secret', 'create', 'other-key'], `${randomBytes(5).toString('hex')}\n`);
    slicer.show(['secret', 'list', '-v']);
  });

  const vm = await stages.run('launch a VM that is granted api-key', async () =>
    slicer.show(['vm', 'launch', '--secret=api-key', '--wait', '--timeout=2m']).trim());

  await stages.run('look from inside the VM', async () => {
    const listed = slicer.show(['vm', 'exec', vm, '--', 'ls', '-l', '/run/slicer/secrets/']);
    if (!/^-rw-------.* ubuntu +ubuntu .*\bapi-key$/m.test(listed)) throw fail('internal', 'api-key is not in the VM as it should be');
    if (listed.includes('other-key')) throw fail('internal', 'the VM has a secret that it was not granted');
    console.log('    other-key is not there: this VM was not granted it');
  });

  await stages.run('change the secret on the host', async () => {
    const value = `${randomBytes(16).toString('hex')}\n`;
    const before = performance.now();
    slicer.show(['secret', 'update', 'api-key'], value);
    const tookMs = performance.now() - before;
    const inside = slicer.show(['vm', 'exec', vm, '--', 'sha256sum', '/run/slicer/secrets/api-key']);
    if (!inside.startsWith(digest(value))) throw fail('internal', 'the VM does not have the new value');
    console.log(`    the digest is the new value's; it was in the VM ${tookMs.toFixed(0)} ms after the command began`);
    slicer.show(['vm', 'secrets', vm]);
  });
}

runScript(async () => {
  console.log('Slicer: a secret on this host reaches a microVM\n');
  const stages = beginStages();
  await setUp(stages, ['run', 'build']);
  console.log();
  const slicer = new Demonstration(await mkdtemp(join(tmpdir(), 'slicer-quickstart-')));
  try {
    await demonstrate(stages, slicer);
  } finally {
    await stages.run('remove all of it', () => slicer.end());
  }
  console.log(`\nDone in ${(stages.elapsedMs() / 1000).toFixed(1)} s. Next: bin/slicer --help, README.md`);
});
