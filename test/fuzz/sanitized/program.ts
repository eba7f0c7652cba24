// agent/sys.c with a script in the place of the agent's, built with the compiler's sanitizers (address and
// undefined behaviour, each fatal). For tests alone: the agent itself is static and has none.
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
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
    const file = (part: string) => join(directory, part);
    await writeFile(file('script.js'), script);
    await writeFile(file('sys.c'), sys);
    await writeFile(file('auxiliary.c'), NO_AUXILIARY);
    await run(qjsc, [...QJSC_FLAGS, '-o', file('script.c'), file('script.js')]);
    await run(compiler.command, [...FLAGS, `-I${engine}`, '-o', file('program'), file('script.c'), file('auxiliary.c'), file('sys.c'), ...engineObjects(engine), ...ENGINE_LIBRARIES]);
  });
  return join(entry, 'program');
}

/** Who has no rights on this machine, when there is one to become. */
const NOBODY = process.geteuid?.() === 0 ? 65534 : undefined;
const AS_NOBODY = NOBODY === undefined ? [] : [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const OPTIONS = 'allocator_may_return_null=1:detect_leaks=0:abort_on_error=0:exitcode=99';

export interface SanitizedProcess {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Its own, and its working directory; it goes with the process. */
  readonly directory: string;
  /** Resolves with what it said last, when it has ended, which it never does by itself. */
  readonly ended: Promise<string>;
}

/** A process of calls.js with these arguments, which keeps Node waiting for nothing. */
export async function startSanitized(...args: string[]): Promise<SanitizedProcess> {
  const program = await ensureProgram();
  const directory = mkdtempSync(join(tmpdir(), 'slicer-fuzz-'));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  // Where it was built others may not look.
  const copy = join(directory, 'program');
  copyFileSync(program, copy);
  chmodSync(directory, 0o711);
  if (NOBODY !== undefined) chownSync(directory, NOBODY, NOBODY);
  // Whoever started it may be killed, and the relay reads no stdin whose end would tell it.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...AS_NOBODY, '--', copy, ...args], { cwd: directory, env: { PATH: process.env['PATH'], ASAN_OPTIONS: OPTIONS, UBSAN_OPTIONS: 'print_stacktrace=1' }, stdio: 'pipe' });
  process.once('exit', remove);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-8000);
  });
  child.stdin.on('error', () => undefined);
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as Socket).unref();
  const ended = new Promise<string>((resolve) => {
    const end = (error?: unknown): void => {
      remove();
      process.removeListener('exit', remove);
      resolve(`the program ended: ${error instanceof Error ? error.message : said}`);
    };
    child.once('error', end).once('close', end);
  });
  return { child, directory, ended };
}
