// Slicer as a user has it: `bin/slicer`, in a directory of its own with a slicer.yaml, with VMs that really
// boot. One daemon for each test file. At its end the fixture holds the daemon to its word: SIGTERM leaves
// no process, no socket and nothing on a memory-backed file system.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statfsSync, watch, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { MISSING_PART, ROOT } from './parts.ts';
import { LIMIT_MS, PATIENCE } from './patience.ts';
import { untilGone } from './processes.ts';

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that takes longer is ended, and the test fails. */
  readonly limitMs?: number;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Buffer;
  readonly exitCode: number;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: any;
}

export interface Surroundings {
  /** Directories that are searched for programs before all others. */
  readonly programs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Who runs it, when not root. */
  readonly uid?: number;
}

/** Longer than what a command of the tests itself waits for. */
const RUN_LIMIT_MS = 1.5 * LIMIT_MS;
const LAUNCH_LIMIT_S = LIMIT_MS / 1000;

export class Slicer {
  readonly directory: string;
  readonly #surroundings: Surroundings;
  #daemon: ChildProcess | undefined;
  #output = '';
  #exitCode: Promise<number | null> = Promise.resolve(null);

  constructor(config: string, surroundings: Surroundings = {}) {
    this.#surroundings = surroundings;
    this.directory = realpathSync(mkdtempSync(join(tmpdir(), 'slicer-vm-')));
    writeFileSync(join(this.directory, 'slicer.yaml'), config);
    const { uid } = surroundings;
    if (uid !== undefined) for (const path of [this.directory, this.path('slicer.yaml')]) chownSync(path, uid, uid);
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  get daemonPid(): number {
    return this.#daemon?.pid as number;
  }

  /** What all daemons of this fixture wrote, stdout and stderr together. */
  get daemonOutput(): string {
    return this.#output;
  }

  /** `slicer up`, until it answers on its socket. */
  async start(...args: string[]): Promise<void> {
    const daemon = this.spawn(['up', ...args]);
    this.#daemon = daemon;
    this.#exitCode = once(daemon, 'exit').then(([code]) => code as number | null);
    const ended = this.#exitCode.then((code): never => {
      throw new Error(`slicer up ended with exit code ${code}:\n${this.#output}`);
    });
    await Promise.race([this.#untilHealthy(AbortSignal.timeout(LIMIT_MS)), ended]);
    ended.catch(() => undefined);
  }

  /** Ends the daemon and resolves with its exit code: null when the signal itself ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#daemon?.kill(signal);
    return this.#exitCode;
  }

  /** `slicer` with these words, in the daemon's directory. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.execute('slicer', args, options);
  }

  /** A command line as root types it in the daemon's directory; a machine without sudo needs none. */
  async shell(commandLine: string, options: RunOptions = {}): Promise<RunResult> {
    return this.execute('/bin/sh', ['-c', `sudo() { "$@"; }\n${commandLine}`], options);
  }

  /** The same as `run`, for what must succeed: its stdout. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { stdout, stderr, exitCode } = await this.run(args, options);
    assert.equal(exitCode, 0, `slicer ${args.join(' ')} ended with ${exitCode}\n${stderr}${stdout}\n${this.#output}`);
    return stdout;
  }

  /** Starts `slicer` with these words and leaves it running; its output is kept with the daemon's. */
  spawn(args: readonly string[]): ChildProcess {
    const child = spawn('slicer', args, { cwd: this.directory, env: this.#env(), stdio: ['ignore', 'pipe', 'pipe'], ...this.#user });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { this.#output += chunk; });
    return child;
  }

  async execute(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
    const child = spawn(program, args, {
      cwd: this.directory,
      env: { ...this.#env(), ...options.env },
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: options.limitMs === undefined ? RUN_LIMIT_MS : options.limitMs * PATIENCE,
      killSignal: 'SIGKILL',
      ...this.#user,
    });
    // A command may end before it has read all its input.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.stdin);
    const ended = once(child, 'exit');
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    const stdoutEnd = once(child.stdout as NodeJS.ReadableStream, 'end');
    const stderr = await text(child.stderr as NodeJS.ReadableStream);
    await stdoutEnd;
    const [code, signal] = await ended as [number | null, NodeJS.Signals | null];
    const stdoutBytes = Buffer.concat(chunks);
    if (code === null) throw new Error(`${program} ${args.join(' ')} was ended by ${signal}\n${stderr}${stdoutBytes}`);
    return { stdout: stdoutBytes.toString(), stderr, stdoutBytes, exitCode: code };
  }

  /** Launches a VM, waits for its secrets, and resolves with its host name. */
  async launch(...args: string[]): Promise<string> {
    const launched = JSON.parse(await this.ok(['vm', 'launch', '--wait', `--timeout=${LAUNCH_LIMIT_S}s`, '--json', ...args])) as { hostname: string };
    return launched.hostname;
  }

  /** A script that a shell of the guest runs as root: its stdout. It must succeed. */
  async inGuest(vm: string, script: string, options: RunOptions & { readonly uid?: number } = {}): Promise<string> {
    const identity = options.uid === undefined ? [] : [`--uid=${options.uid}`];
    return this.ok(['vm', 'exec', vm, ...identity, '--shell', '--', script], options);
  }

  /** Resolves when `condition`, a command of the guest's shell, holds there. */
  async untilInGuest(vm: string, condition: string, limitMs = LIMIT_MS): Promise<void> {
    const rounds = Math.ceil(limitMs / 20);
    await this.inGuest(vm, `n=0; until ${condition}; do n=$((n+1)); [ $n -lt ${rounds} ] || exit 1; usleep 20000; done`);
  }

  /** Resolves when the VM holds the newest value of every secret that it is granted, and reports no fault. */
  async untilHolds(vm: string, limitMs = LIMIT_MS): Promise<void> {
    const deadline = Date.now() + limitMs;
    for (;;) {
      const { body } = await this.api('GET', `/vm/${vm}/secrets`);
      const isCurrent = ({ state }: { state: string }): boolean => state === 'current';
      if (body.synced === true && body.errors.length === 0 && body.secrets.every(isCurrent)) return;
      if (Date.now() > deadline) throw new Error(`after ${limitMs} ms: ${JSON.stringify(body)}`);
      await delay(50);
    }
  }

  /** Puts a file into the guest, for all to read and run. */
  async push(vm: string, file: Uint8Array, path: string): Promise<void> {
    await this.inGuest(vm, `cat > ${path} && chmod 755 ${path}`, { stdin: file });
  }

  /** Puts a secret into the store by hand, as an administrator would: written beside, then renamed. */
  put(name: string, value: string | Uint8Array, mode = 0o600): void {
    mkdirSync(this.path('.secrets'), { mode: 0o700, recursive: true });
    writeFileSync(this.path('.secrets', name), value);
    chmodSync(this.path('.secrets', name), mode);
  }

  /** One request to the daemon's socket. */
  api(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath: this.path('slicer.sock'), method, path }, (incoming) => {
        text(incoming).then((answer) => resolve({ status: incoming.statusCode as number, body: parsed(answer) }), reject);
      });
      outgoing.once('error', reject);
      if (body !== undefined) outgoing.setHeader('content-type', 'application/json');
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Directories that the daemon of this directory keeps on memory-backed file systems. */
  runtimeDirectories(): string[] {
    const hash = createHash('sha256').update(this.directory).digest('hex').slice(0, 8);
    return ['/run', '/dev/shm', process.env['XDG_RUNTIME_DIR'] ?? '/run']
      .map((memory) => join(memory, `slicer-${this.#surroundings.uid ?? process.getuid?.()}`, hash))
      .filter((directory) => existsSync(directory) && statfsSync(directory).type === 0x01021994);
  }

  /** Ends the daemon if one runs, and checks that nothing of it is left. */
  async close(): Promise<void> {
    try {
      if (this.#daemon !== undefined && this.#daemon.exitCode === null && this.#daemon.signalCode === null) {
        assert.equal(await this.stop(), 0, `SIGTERM must end the daemon with exit code 0\n${this.#output}`);
      }
      const left = await untilGone(this.directory);
      assert.deepEqual(left.map(({ pid, cmdline }) => `${pid} ${cmdline}`), [], 'processes are left');
      assert.deepEqual(this.runtimeDirectories(), [], 'directories are left on a memory-backed file system');
      const sockets = readdirSync(this.directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isSocket());
      assert.deepEqual(sockets.map(({ name }) => name), [], 'sockets are left');
    } finally {
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  async #untilHealthy(signal: AbortSignal): Promise<void> {
    let onChange = (): void => undefined;
    const watcher = watch(this.directory, () => onChange());
    try {
      for (;;) {
        // The socket's file is there a moment before it accepts, without another change that tells of it.
        const changed = new Promise<void>((resolve) => { onChange = resolve; });
        const answer = await this.api('GET', '/healthz').catch(() => undefined);
        if (answer?.status === 200) return;
        signal.throwIfAborted();
        await Promise.race([changed, delay(50)]);
      }
    } finally {
      watcher.close();
    }
  }

  get #user(): { readonly uid?: number; readonly gid?: number } {
    const { uid } = this.#surroundings;
    return uid === undefined ? {} : { uid, gid: uid };
  }

  #env(): NodeJS.ProcessEnv {
    const { PATH = '', HOME, SLICER_CACHE, SLICER_ACCEL, SLICER_VSOCK } = process.env;
    const kept = Object.fromEntries(Object.entries({ HOME, SLICER_CACHE, SLICER_ACCEL, SLICER_VSOCK }).filter(([, value]) => value !== undefined));
    return { ...kept, ...this.#surroundings.env, PATH: [...(this.#surroundings.programs ?? []), join(ROOT, 'bin'), dirname(process.execPath), PATH].join(delimiter) };
  }
}

/** A configuration with one group of small VMs, `vm`, behind a socket; more lines for the group may follow. */
export function oneGroup(...lines: string[]): string {
  return [
    'config:',
    '  api:',
    '    bind_address: ./slicer.sock',
    '  host_groups:',
    '    - name: vm',
    '      count: 0',
    '      vcpu: 1',
    '      ram_mb: 192',
    '      image: tiny',
    ...lines.map((line) => `      ${line}`),
    '',
  ].join('\n');
}

export interface Fixture {
  readonly slicer: Slicer;
  /** For each test's options: false, or the part of the machine that is missing and how to get it. */
  readonly skip: string | false;
}

export interface FixtureOptions {
  readonly skip?: string | false;
  readonly prepare?: (slicer: Slicer) => Promise<void>;
  /** Arguments of `slicer up`. */
  readonly up?: readonly string[];
}

/** A daemon that runs as long as the tests of a file do. */
export function withSlicer(config: string, options: FixtureOptions = {}): Fixture {
  const skip = options.skip ?? MISSING_PART;
  let slicer: Slicer | undefined;
  before(async () => {
    if (skip !== false) return;
    slicer = new Slicer(config);
    await options.prepare?.(slicer);
    await slicer.start(...(options.up ?? []));
  });
  after(async () => {
    await slicer?.close();
  });
  return {
    skip,
    get slicer(): Slicer {
      assert.ok(slicer, 'the daemon runs while tests do');
      return slicer;
    },
  };
}

function parsed(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return answer;
  }
}
