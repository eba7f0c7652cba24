// What a command may touch of the process it runs in.
import type { Command } from 'commander';
import type { ReadStream } from 'node:tty';

export interface Context {
  /** What the user typed after `slicer`. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream | ReadStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** What the process ends with when the command returns. */
  exitCode: number;
}

/** A file in commands/: declares arguments, options, help and action on a command that has its name and summary. */
export interface CommandModule {
  configure(command: Command, context: Context): void;
}
