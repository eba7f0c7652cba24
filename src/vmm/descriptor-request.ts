// A request to a VMM's REST API that carries open files (SCM_RIGHTS, unix(7)), which Node can't send: the
// agent's binary does, in its host mode `http-fds`. It takes one request on its standard input and what it
// is to attach as descriptors 3 and on, and its standard output is the answer.
import { spawn } from 'node:child_process';
import { fail } from '../errors/slicer-error.ts';
import { closeSync } from 'node:fs';
import { openOwnedSocket } from '../socket/owned-socket.ts';
import { FIRST_INHERITED, pathOfDescriptor } from './inherited-files.ts';
import { ANSWER_MAX_BYTES, encodeBody, takeAnswer, type ApiSocket } from './vmm-api.ts';

/** RFC 9112, 4: the status line; then a head without obsolete line folding, and the body. */
const ANSWER = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n(.*)$/s;

/**
 * Sends `PUT path`, whose body must hold no value. `agent`: absolute path. Throws launch_failed where
 * `vmmRequest` does, and when the agent can't do it; `signal`'s reason when it aborts.
 */
export async function putWithDescriptors(
  agent: string,
  socket: ApiSocket,
  path: string,
  body: object,
  descriptors: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const what = `PUT ${path}`;
  const bytes = encodeBody(what, body);
  const head = [
    `PUT ${path} HTTP/1.1`, 'Host: localhost', 'Accept: application/json', 'Content-Type: application/json',
    `Content-Length: ${bytes.length}`, 'Connection: close', '', '',
  ].join('\r\n');
  takeWholeAnswer(what, await run(agent, socket, head + bytes.toString(), descriptors, signal));
}

/** An answer with its head, as the agent passes it on. Throws launch_failed unless it is a 2xx one. */
export function takeWholeAnswer(what: string, answer: string): unknown {
  const [, status, text] = ANSWER.exec(answer) ?? [];
  if (status === undefined || text === undefined) throw fail('launch_failed', `the VMM's answer to ${what} is no HTTP`);
  return takeAnswer(what, Number(status), text);
}

function run(agent: string, { control, owner }: ApiSocket, request: string, descriptors: readonly number[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const owned = owner === undefined ? [] : [openOwnedSocket(control, owner)];
    const path = owner === undefined ? control : pathOfDescriptor(FIRST_INHERITED + descriptors.length);
    const child = spawn(agent, ['http-fds', '--socket', path, '--count', String(descriptors.length)], {
      cwd: '/', env: {}, signal, stdio: ['pipe', 'pipe', 'ignore', ...descriptors, ...owned],
    });
    for (const descriptor of owned) closeSync(descriptor);
    let answer = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      if (answer.length > ANSWER_MAX_BYTES) child.kill();
    });
    // What it did not read it says by its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(request);
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(signal.aborted ? signal.reason as Error : fail('launch_failed', `${agent} could not be started: ${error.code}`)));
    child.on('close', (code) => (code === 0
      ? resolve(answer)
      : reject(fail('launch_failed', `the agent could not pass descriptors to the VMM: it ended with exit code ${code}`))));
  });
}
