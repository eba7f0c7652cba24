// Starts programs for the agent where that is confined by systemd's sandbox and they must not be: a service beside
// it, on a Unix socket that root alone can reach. A connection is one program: its request is a line of JSON with
// its streams' ends attached; the answers are its pid, and its exit code (program.ts has both).
import * as os from 'os';
import * as sys from 'sys';
import { isId } from '../src/secret/file-attributes.ts';
import { JSON_MAX_BYTES } from '../src/wire/protocol.ts';
import { Connection } from './connection.ts';
import { onceExited } from './children.ts';
import { Fault, toFault } from './fault.ts';
import type { CommandAnswer, ProgramRequest } from './program.ts';
import { joinedBytes, jsonBytes, utf8Bytes, utf8Text } from './text.ts';

const CHUNK_BYTES = 64 * 1024;
/** What is in it is valid until the next one reads. */
const received = new Uint8Array(CHUNK_BYTES);
const NEWLINE = 0x0a;

/** Until the process ends. `listener`: a listening socket, which is not blocking. */
export function serveCommands(listener: number): Promise<never> {
  os.setReadHandler(listener, () => {
    const accepted = sys.accept(listener);
    if (accepted !== null) receiveCommand(accepted[0]);
  });
  return new Promise(() => undefined);
}

/** Collects the request, and with it the ends of the program's streams. */
function receiveCommand(fd: number): void {
  const chunks: Uint8Array[] = [];
  const ends: number[] = [];
  let size = 0;
  const close = (): void => {
    os.setReadHandler(fd, null);
    for (const end of ends) sys.close(end);
    sys.close(fd);
  };
  os.setReadHandler(fd, () => {
    try {
      const [count, ...descriptors] = sys.receiveDescriptors(fd, received);
      ends.push(...descriptors);
      if (count < 0) return;
      size += count;
      if (count === 0 || size > 2 * JSON_MAX_BYTES || ends.length > 3) throw new Fault('protocol', 'expected a request');
      chunks.push(received.slice(0, count));
      if (received[count - 1] !== NEWLINE) return;
      const request = requestIn(utf8Text(joinedBytes(chunks)));
      if (ends.length !== (request.stdin ? 3 : 2)) throw new Fault('protocol', 'expected the ends of its streams');
      os.setReadHandler(fd, null);
      start(request, ends.splice(0), fd);
    } catch {
      close();
    }
  });
}

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((text) => typeof text === 'string');

/** Throws for what is no request: sys.spawn would make something of it. */
function requestIn(text: string): ProgramRequest {
  const request = JSON.parse(text) as ProgramRequest;
  const { argv, env, cwd, uid, gid, groups, stdin } = request;
  const isOne = isTexts(argv) && argv.length > 0 && isTexts(env) && isTexts([cwd]) && isId(uid) && isId(gid)
    && isTexts(groups) && groups.every((group) => /^[0-9]+$/.test(group) && isId(Number(group))) && typeof stdin === 'boolean';
  if (!isOne) throw new Fault('protocol', 'expected a request');
  return request;
}

function start(request: ProgramRequest, ends: readonly number[], fd: number): void {
  const { argv, env, cwd, uid, gid, groups, stdin } = request;
  // Whoever asked has gone when it closes; what it started is that one's to end.
  const asker = new Connection(fd, false, { onData: () => undefined, onClose: () => undefined });
  const answer = (value: CommandAnswer): void => {
    asker.write(jsonBytes(value));
    asker.write(utf8Bytes('\n'));
  };
  try {
    const [pid] = sys.spawn(argv, env, cwd, uid, gid, groups, stdin, stdin ? ends : [-1, ...ends]);
    answer({ pid });
    onceExited(pid, (status) => {
      answer({ status });
      asker.end();
    });
  } catch (error) {
    const { code, message } = toFault(error);
    answer({ failed: { code, message, pid: (error as { pid?: number }).pid } });
    asker.end();
  }
}
