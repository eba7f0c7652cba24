// Runs transcripts: what a user types and what he sees, exactly. The command under test is the bundle
// that users get, and it speaks to a server over a real socket.
//
//   $ command        run by sh in the workspace, with `slicer` on its PATH
//   text             a line of its stdout
//   ! text           a line of its stderr
//   ? 5              its exit code, when it is not 0
//
// A command that fails must leave the workspace's files as they were.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { bundleCli } from '../../scripts/bundle-cli.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Workspace {
  /** The directory that commands run in. */
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
  run(command: string, stdin?: string | Uint8Array): Promise<Outcome>;
  /** A test that runs a transcript. */
  transcript(name: string, text: string): void;
}

/** Bundles the command once for the tests of a file. */
export function workspace(): Workspace {
  const base = mkdtempSync(join(tmpdir(), 'slicer-cli-'));
  const [directory, programs] = [join(base, 'work'), join(base, 'bin')];
  mkdirSync(directory);
  mkdirSync(programs);
  const program = `#!/bin/sh\nexec ${process.execPath} ${join(base, 'slicer.cjs')} "$@"\n`;
  writeFileSync(join(programs, 'slicer'), program, { mode: 0o755 });
  before(() => bundleCli(ROOT, base, 'abc1234'));
  after(() => rmSync(base, { recursive: true }));

  const environment = { PATH: `${programs}:${process.env['PATH']}`, HOME: directory };
  const run = async (command: string, stdin: string | Uint8Array = ''): Promise<Outcome> => {
    const child = spawn('sh', ['-c', command], { cwd: directory, env: environment });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => {}).end(stdin);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout: Buffer.concat(stdout), stderr: String(Buffer.concat(stderr)) };
  };
  const files = (): string[] => readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return {
    directory,
    environment,
    run,
    transcript: (name, text) => {
      test(name, async () => {
        for (const { command, ...expected } of parse(text)) {
          const filesBefore = files();
          const { code, stdout, stderr } = await run(command);
          assert.deepEqual({ command, stdout: String(stdout), stderr, code }, { command, ...expected });
          if (code !== 0) assert.deepEqual(files(), filesBefore, `files that "${command}" left`);
        }
      });
    },
  };
}

interface Step {
  readonly command: string;
  stdout: string;
  stderr: string;
  code: number;
}

function parse(text: string): Step[] {
  const steps: Step[] = [];
  for (const line of text.replace(/^\n/, '').replace(/\n$/, '').split('\n')) {
    const step = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), stdout: '', stderr: '', code: 0 });
    else if (step === undefined) throw new Error('a transcript begins with a command');
    else if (line.startsWith('! ')) step.stderr += `${line.slice(2)}\n`;
    else if (line.startsWith('? ')) step.code = Number(line.slice(2));
    else step.stdout += `${line}\n`;
  }
  return steps;
}
