// Unix sockets of the kinds that Node lacks: a small C program at the other end of them.
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Starts the program, and waits until it listens. */
export async function startPeer(context: TestContext, kind: 'datagrams' | 'descriptors', path: string): Promise<ChildProcessWithoutNullStreams> {
  const directory = mkdtempSync('/dev/shm/slicer-peer-');
  const program = join(directory, 'peer');
  execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-o', program, join(import.meta.dirname, 'unix-peer.c')]);
  const child = spawn(program, [kind, path]);
  context.after(() => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true });
    if (path.startsWith('/')) rmSync(path, { force: true });
  });
  await once(child.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
  return child;
}

/** The next messages of a `datagrams` program, one for each call. */
export async function* messagesOf(peer: ChildProcessWithoutNullStreams): AsyncGenerator<string> {
  let text = '';
  for await (const chunk of peer.stdout as AsyncIterable<Buffer>) {
    const parts = `${text}${chunk.toString()}`.split('\0');
    text = parts.pop() as string;
    yield* parts;
  }
}
