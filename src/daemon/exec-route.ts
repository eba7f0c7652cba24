// POST /vm/{hostname}/exec: a command in a guest. The request's body is its stdin and the answer its output,
// both at the same time and each only as fast as the other end takes it. A client that goes away takes its
// command with it.
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BUFFERED_OUTPUT_MAX_BYTES } from '../api/limits.ts';
import { routes } from '../api/routes.ts';
import type { ExecResult } from '../api/exec.ts';
import { reasonOf } from '../audit/change.ts';
import { fail, SlicerError } from '../errors/slicer-error.ts';
import type { AgentCall, ExecSession } from '../live/contract.ts';
import type { Vms } from '../vm/contract.ts';
import { FRAME, FRAME_MAX_BYTES } from '../wire/exec-frames.ts';
import { JSON_MAX_BYTES, type ExecRequest } from '../wire/protocol.ts';
import type { Auditor, ExecEnd } from './auditor.ts';
import { execEvents, outputText, type ExecEvent, type Stdio } from './exec-output.ts';
import type { LiveVms } from './live-vms.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { Attach } from './router.ts';
import { goneSignal, servedVm } from './vm-routes.ts';

export function attachExecRoute(attach: Attach, vms: Vms, live: LiveVms, audit: Auditor): void {
  attach(routes.exec, async ({ params, query: { buffered, stdio, ...request }, context }) => {
    const { incoming, outgoing } = context.env as { incoming: IncomingMessage; outgoing: ServerResponse };
    const served = servedVm(vms, live, params.hostname);
    checkSize(request);
    const gone = goneSignal(outgoing);
    const ended = await audit.exec(context.env.caller.actor, params.hostname);
    let end: ExecEnd = { outcome: 'failed', reason: 'internal' };
    let call: AgentCall | undefined;
    try {
      call = await served.call(gone);
      const session = await call.exec(request);
      gone.addEventListener('abort', () => session.close());
      if (request.stdin) void sendInput(incoming, session);
      const events = watched(execEvents(session), (seen) => (end = seen));
      // Until the command runs, whatever is wrong is an error of the request.
      const first = await events.next();
      if (buffered) return await collected(first.value as ExecEvent, events, stdio);
      outgoing.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
      await stream(first.value as ExecEvent, events, stdio, outgoing);
      return RESPONSE_ALREADY_SENT;
    } catch (error) {
      end = { outcome: 'failed', reason: reasonOf(error) };
      throw error;
    } finally {
      call?.close();
      // What the command did not read.
      incoming.resume();
      await ended(end.outcome === 'failed' && gone.aborted ? { outcome: 'failed', reason: 'client_gone' } : end);
    }
  });
}

/** The same events; `end` is told how the command ended. */
async function* watched(events: AsyncIterable<ExecEvent>, end: (end: ExecEnd) => void): AsyncGenerator<ExecEvent> {
  try {
    for await (const event of events) {
      if (event.type === 'exit') end({ outcome: 'ok', exit_code: event.exitCode });
      yield event;
    }
  } catch (error) {
    end({ outcome: 'failed', reason: reasonOf(error) });
    throw error;
  }
}

/** The request travels as JSON, which spells some characters with six. */
function checkSize(request: ExecRequest): void {
  const sizeBytes = Buffer.byteLength(JSON.stringify(request));
  if (sizeBytes > JSON_MAX_BYTES) {
    throw fail('invalid_request', `command, arguments and environment are ${sizeBytes} bytes as JSON; the limit is ${JSON_MAX_BYTES}`);
  }
}

async function sendInput(incoming: IncomingMessage, session: ExecSession): Promise<void> {
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      for (let offset = 0; offset < chunk.byteLength; offset += FRAME_MAX_BYTES) {
        await session.send({ type: FRAME.stdin, payload: chunk.subarray(offset, offset + FRAME_MAX_BYTES) });
      }
    }
    await session.send({ type: FRAME.stdinEnd, payload: new Uint8Array(0) });
  } catch {
    // The command has ended, or the client has: whoever reads the frames knows.
  }
}

/** Writes a line for each event. Once the answer has begun an error is its last line. */
async function stream(first: ExecEvent, rest: AsyncIterable<ExecEvent>, stdio: Stdio, outgoing: ServerResponse): Promise<void> {
  const write = async (event: object): Promise<void> => {
    if (outgoing.destroyed) return;
    const line = `${JSON.stringify(event)}\n`;
    if (!outgoing.write(line)) await drained(outgoing);
  };
  const timestamp = (): string => new Date().toISOString();
  const text = outputText(stdio);
  try {
    const { type, pid } = first as ExecEvent & { type: 'started' };
    await write({ type, timestamp: timestamp(), pid });
    for await (const event of rest) {
      if (event.type === 'exit') await write({ type: 'exit', timestamp: timestamp(), exit_code: event.exitCode });
      else if (event.type !== 'started') {
        await write({ type: event.type, timestamp: timestamp(), ...text(event.type, event.data) });
      }
    }
  } catch (error) {
    const { code, message } = error instanceof SlicerError ? error : fail('internal', 'the daemon failed');
    await write({ type: 'error', timestamp: timestamp(), error: message, code });
  } finally {
    outgoing.end();
  }
}

/** Resolves when the client has taken what was written, or has gone. */
export function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      outgoing.off('drain', settle).off('close', settle);
      resolve();
    };
    outgoing.on('drain', settle).on('close', settle);
  });
}

async function collected(_started: ExecEvent, rest: AsyncIterable<ExecEvent>, stdio: Stdio): Promise<ExecResult> {
  const output = { stdout: new OutputBuffer(), stderr: new OutputBuffer() };
  let sizeBytes = 0;
  let exitCode = 0;
  for await (const event of rest) {
    if (event.type === 'exit') exitCode = event.exitCode;
    if (event.type !== 'stdout' && event.type !== 'stderr') continue;
    output[event.type].add(event.data);
    sizeBytes += event.data.byteLength;
    if (sizeBytes > BUFFERED_OUTPUT_MAX_BYTES) {
      throw fail('exec_failed', `the command wrote more than ${BUFFERED_OUTPUT_MAX_BYTES} bytes and was ended`,
        'ask without buffered=true');
    }
  }
  const encoding = stdio === 'base64' ? 'base64' : 'utf8';
  return {
    stdout: output.stdout.toString(encoding),
    stderr: output.stderr.toString(encoding),
    exit_code: exitCode,
    ...(stdio === 'base64' ? { encoding: 'base64' as const } : {}),
  };
}
