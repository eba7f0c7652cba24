// Runs a generator's own program: with nothing of this process's environment but the PATH, in a process group
// of its own, which is killed when the program ends or its time is up. Nothing that the program says is shown
// unless asked for, since it may say values. (A program that leaves its process group escapes the kill; it is
// the operator's own, and runs as the user that slicer runs as.)
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { CommandRecipe, GeneratorFile } from '../config/generators.ts';
import { fail, type SlicerError } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { readOutput, readOutputs, withScratch, writeInputs, type Scratch } from './scratch.ts';

export interface CommandRequest {
  readonly recipe: CommandRecipe;
  readonly files: readonly GeneratorFile[];
  /** By GENERATOR/FILE. */
  readonly inputs: ReadonlyMap<string, Secret>;
  readonly prompts: ReadonlyMap<string, Secret>;
}

export interface CommandHost {
  /** A private directory on a memory-backed file system; made, or found, when it is needed. */
  readonly scratchDirectory: () => Promise<string>;
  /** The PATH that programs are found on. */
  readonly path: string;
  /** Where programs are that are named by a relative path. */
  readonly directory: string;
  /** Whether its standard error is this process's. */
  readonly showsStderr: boolean;
  /** Ends the program, and fails. */
  readonly signal?: AbortSignal | undefined;
}

/** Throws generate_failed, and what `scratchDirectory` does. */
export async function runCommand({ recipe, files, inputs, prompts }: CommandRequest, host: CommandHost): Promise<ReadonlyMap<string, Secret>> {
  return withScratch(await host.scratchDirectory(), async (scratch) => {
    await writeInputs(scratch.in, inputs);
    await writeInputs(scratch.prompts, prompts);
    const printed = join(scratch.path, 'stdout');
    await runProgram(await wordsOf(recipe, scratch, host.directory), { recipe, scratch, printed, host });
    const { stdout } = recipe;
    if (stdout === undefined) return readOutputs(scratch.out, files);
    const written = await readOutputs(scratch.out, files.filter(({ name }) => name !== stdout));
    return new Map([...written, [stdout, await readOutput(printed, stdout)]]);
  });
}

/** A script is a file, so that what somebody writes into it is in no argument. */
async function wordsOf({ run }: CommandRecipe, scratch: Scratch, directory: string): Promise<readonly [string, ...string[]]> {
  if (typeof run !== 'string') {
    const [program, ...args] = run;
    return [program.includes('/') ? resolve(directory, program) : program, ...args];
  }
  const script = join(scratch.path, 'script');
  await writeFile(script, run, { mode: 0o400 });
  return ['/bin/sh', '-eu', script];
}

interface Run {
  readonly recipe: CommandRecipe;
  readonly scratch: Scratch;
  /** Where its standard output goes: a file, which no process that lives on can keep waiting. */
  readonly printed: string;
  readonly host: CommandHost;
}

async function runProgram([program, ...args]: readonly [string, ...string[]], { recipe, scratch, printed, host }: Run): Promise<void> {
  const stdout = openSync(printed, 'wx', 0o600);
  try {
    const child = spawn(program, args, {
      cwd: scratch.home,
      detached: true,
      stdio: ['ignore', stdout, host.showsStderr ? 'inherit' : 'ignore'],
      env: {
        PATH: host.path, HOME: scratch.home, TMPDIR: scratch.home, LC_ALL: 'C.UTF-8', out: scratch.out, in: scratch.in, prompts: scratch.prompts,
      },
    });
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Nobody of the group is left.
      }
    };
    await new Promise<void>((settle, reject) => {
      let cause: SlicerError | undefined;
      const end = (why: SlicerError): void => {
        cause ??= why;
        kill();
      };
      const timer = setTimeout(
        () => end(fail('generate_failed', `its program did not end within ${recipe.timeoutSeconds} s and was killed`, 'give it more with timeoutSeconds')),
        recipe.timeoutSeconds * 1000,
      );
      const stop = (): void => end(fail('generate_failed', 'its program was stopped'));
      host.signal?.addEventListener('abort', stop);
      if (host.signal?.aborted === true) stop();
      const finish = (error: SlicerError | undefined): void => {
        clearTimeout(timer);
        host.signal?.removeEventListener('abort', stop);
        // Whoever it started, so that nobody writes to $out while it is read.
        kill();
        if (error === undefined) settle();
        else reject(error);
      };
      child.once('error', ({ code }: NodeJS.ErrnoException) => finish(fail('generate_failed', `its program can't be started: ${startFailure(code)}`)));
      child.once('exit', (code, signal) => finish(cause ?? endFailure(code, signal, host.showsStderr)));
    });
  } finally {
    closeSync(stdout);
  }
}

const startFailure = (code: string | undefined): string => {
  if (code === 'ENOENT') return 'it is not there, nor on the PATH';
  return code === 'EACCES' ? 'it is not executable' : String(code);
};

function endFailure(code: number | null, signal: string | null, showedStderr: boolean): SlicerError | undefined {
  if (code === 0) return undefined;
  const fact = code === null ? `was ended by ${signal}` : `ended with exit code ${code}`;
  return showedStderr ? fail('generate_failed', `its program ${fact}`) : fail('generate_failed', `its program ${fact}`, 'see what it says with --show-stderr');
}
