// Runs the tools that recipes are made of: no shell, no inherited input, messages in one language.
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { accessSync, constants, statSync } from 'node:fs';
import { fail } from '../src/errors/slicer-error.ts';

export interface CommandOptions {
  readonly cwd?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** Called with each line of the command's output as it comes; for progress. */
  readonly onLine?: (line: string) => void;
}

/** How much of a failed command's messages its error shows, in characters. */
const SHOWN = 2000;

/**
 * Standard output of a command that succeeded. Throws build_failed with the end of its messages when it
 * did not, and missing_part when there is no such command.
 */
export function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.environment, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let messages = '';
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (options.onLine === undefined) return;
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(options.onLine);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      messages += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') reject(fail('missing_part', `there is no command "${command}" on this machine`));
      else reject(fail('build_failed', `${command} could not be started: ${error.message}`));
    });
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output);
      const end = (messages || output).trim().slice(-SHOWN);
      const how = signal === null ? `exit code ${code}` : signal;
      reject(fail('build_failed', `${command} ended with ${how}: ${end}`));
    });
  });
}

/** Path of a command that is on PATH and can be run. */
export function findCommand(name: string, path = process.env['PATH'] ?? ''): string | undefined {
  // A root shell's PATH may lack sbin, where some of the tools are.
  for (const directory of [...path.split(delimiter), '/usr/sbin', '/sbin']) {
    if (directory === '') continue;
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      continue;
    }
  }
  return undefined;
}
