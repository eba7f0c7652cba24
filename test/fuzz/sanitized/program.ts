// agent/sys.c with a script in the place of the agent's, built with the compiler's sanitizers (address and
// undefined behaviour, each fatal). For tests alone: the agent itself is static and has none.
import { chownSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { ensureEntry } from '../../../image/cache.ts';
import { run } from '../../../image/command.ts';
import { findCompiler, HOST_ARCH } from '../../../image/compiler.ts';
import { ENGINE_LIBRARIES, engineInputs, engineObjects, ensureEngine, ensureQjsc } from '../../../image/quickjs.ts';

const CHECKOUT = dirname(dirname(dirname(import.meta.dirname)));
const FLAGS = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];
const QJSC_FLAGS = ['-s', '-m', '-M', 'sys,sys', '-e'];
/** sys.c has bytecode under this name, which nothing here runs. */
const NO_AUXILIARY = '#include <stdint.h>\nconst uint8_t auxiliary[1] = { 0 };\nconst uint32_t auxiliary_size = 0;\n';

async function ensureProgram(): Promise<string> {
  const compiler = await findCompiler(HOST_ARCH);
  const [script, sys] = await Promise.all([readFile(join(import.meta.dirname, 'calls.js')), readFile(join(CHECKOUT, 'agent/sys.c'))]);
  const inputs = [script, sys, ...FLAGS, ...QJSC_FLAGS, NO_AUXILIARY, ...engineInputs(compiler)];
  const entry = await ensureEntry('sanitized-sys', inputs, async (directory) => {
    const [engine, qjsc] = await Promise.all([ensureEngine(HOST_ARCH), ensureQjsc()]);
    const file = (name: string) => join(directory, name);
    await writeFile(file('calls.js'), script);
    await writeFile(file('sys.c'), sys);
    await writeFile(file('auxiliary.c'), NO_AUXILIARY);
    await run(qjsc, [...QJSC_FLAGS, '-o', file('calls.c'), file('calls.js')]);
    await run(compiler.command, [...FLAGS, `-I${engine}`, '-o', file('program'), file('calls.c'), file('auxiliary.c'), file('sys.c'), ...engineObjects(engine), ...ENGINE_LIBRARIES]);
  });
  return join(entry, 'program');
}

/** Who has no rights on this machine, when there is one to become. */
const NOBODY = process.geteuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
const OPTIONS = 'allocator_may_return_null=1:detect_leaks=0:abort_on_error=0:exitcode=99';

/** A process that is given inputs one by one, in a directory of its own. */
export class SanitizedCalls {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #said = '';
  #answer = '';
  #settle: ((answer: string) => void) | undefined;
  #ended: string | undefined;

  private constructor(program: string) {
    const directory = mkdtempSync(join(tmpdir(), 'slicer-fuzz-'));
    const remove = (): void => rmSync(directory, { recursive: true, force: true });
    // Where it was built others may not look.
    const copy = join(directory, 'program');
    copyFileSync(program, copy);
    if (NOBODY.uid !== undefined) chownSync(directory, NOBODY.uid, NOBODY.gid);
    this.#child = spawn(copy, { cwd: directory, ...NOBODY, env: { ASAN_OPTIONS: OPTIONS, UBSAN_OPTIONS: 'print_stacktrace=1' }, stdio: 'pipe' });
    process.once('exit', remove);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-8000);
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#answer += text;
      if (this.#answer.endsWith('\n')) this.#settle?.(this.#answer.slice(0, -1));
    });
    this.#child.stdin.on('error', () => undefined);
    const end = (error?: unknown): void => {
      remove();
      process.removeListener('exit', remove);
      this.#settle?.(this.#ended = `the program ended: ${error instanceof Error ? error.message : this.#said}`);
    };
    this.#child.once('error', end).once('close', end);
    this.#child.unref();
    for (const stream of [this.#child.stdin, this.#child.stderr]) (stream as unknown as Socket).unref();
    this.#out.unref();
  }

  /** Keeps Node waiting only while there is something to wait for. */
  get #out(): Socket {
    return this.#child.stdout as unknown as Socket;
  }

  static async start(): Promise<SanitizedCalls> {
    return new SanitizedCalls(await ensureProgram());
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** What is wrong; empty where nothing is. */
  take(input: Buffer): Promise<string> {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(input.length);
    this.#answer = '';
    return new Promise((resolve) => {
      if (this.#ended !== undefined) return resolve(this.#ended);
      this.#settle = (answer) => {
        this.#out.unref();
        resolve(answer);
      };
      this.#out.ref();
      this.#child.stdin.write(Buffer.concat([length, input]));
    });
  }
}
