// What a VMM and its VSOCK device say over their sockets: they are trusted to run their VM, and no further.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import type { ErrorCode } from '../../../src/errors/catalogue.ts';
import { dialAgent } from '../../../src/live/agent-dial.ts';
import { AgentSockets } from '../../../src/live/agent-sockets.ts';
import { takeWholeAnswer } from '../../../src/vmm/descriptor-request.ts';
import { connectQmp, speakQmp, type QmpControl } from '../../../src/vmm/qmp.ts';
import { vmmRequest } from '../../../src/vmm/vmm-api.ts';
import type { Target } from '../engine.ts';
import { assertNoControls, CANARY, isRefusal, pieces, unless } from '../expectations.ts';
import type { Random } from '../random.ts';

/** A socket behind which each connection gets an answer, and then its end. */
class Answering {
  readonly path: string;
  #answer: (socket: Socket) => void = () => undefined;

  private constructor(path: string) {
    this.path = path;
  }

  static async listen(): Promise<Answering> {
    const directory = mkdtempSync(join(tmpdir(), 'slicer-fuzz-'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    const answering = new Answering(join(directory, 'socket'));
    const server = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      answering.#answer(socket);
    });
    server.listen(answering.path).unref();
    await once(server, 'listening');
    return answering;
  }

  /** What the next connection gets: first at once or after the first words of who connects. */
  with(input: Buffer, random: Random): void {
    const waits = !random.once(4);
    this.#answer = (socket) => {
      const write = (): void => {
        for (const piece of pieces(random, input)) socket.write(piece);
        socket.end();
      };
      if (waits) socket.once('data', write);
      else write();
    };
  }
}

let answering: Promise<Answering> | undefined;
const socket = (): Promise<Answering> => (answering ??= Answering.listen());

const SIGNAL = new AbortController().signal;

/** Accepts a refusal that says little and nothing unclean. */
async function refusedOr(codes: readonly ErrorCode[], work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isRefusal(...codes)(error)) throw error;
    const { message } = error as Error;
    assertNoControls(message);
    assert.ok(message.length < 400, message);
    // What may be a value: base64, and what follows a credential's name.
    assert.doesNotMatch(message, /[A-Za-z0-9+/_-]{32,}|io\.systemd\.credential/);
  }
}

const VALUE = Buffer.from(CANARY.repeat(4)).toString('base64');
const GREETING = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n';

/** One in so many comes over a socket of the kernel's, which takes ten times as long. */
const BY_SOCKET = 64;

async function qemuSaying(input: Buffer, random: Random): Promise<QmpControl> {
  if (random.once(BY_SOCKET)) {
    const at = await socket();
    at.with(input, { ...random, once: () => true });
    return connectQmp({ control: at.path }, SIGNAL);
  }
  // Node's pairs of streams stand still behind half a character that is to be text.
  const qemu = new Duplex({ allowHalfOpen: false, read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const control = speakQmp(qemu as Socket, SIGNAL);
  for (const piece of pieces(random, input)) qemu.push(piece);
  qemu.push(null);
  return control;
}

const qmp: Target = {
  name: 'qmp',
  of: 'src/vmm/qmp.ts: QEMU\'s control socket',
  corpus: [
    `${GREETING}{"return": {}, "id": "1"}\r\n{"return": {"status": "running"}, "id": "2"}\r\n`,
    `${GREETING}{"timestamp": {"seconds": 1}, "event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}\r\n{"error": {"class": "GenericError", "desc": "no ${VALUE}"}, "id": "1"}\r\n`,
    `${GREETING}{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}\r\n`,
  ],
  words: ['{"return": {}, "id": "1"}\r\n', '"id": "greeting"', '"QMP"', '"error"', '"desc": "\\u001b[2J"', '\r\n'],
  maxBytes: 8192,
  check: async (input, random) => {
    await refusedOr(['launch_failed', 'vm_not_running'], qemuSaying(input, random).then(async (control) => {
      assert.equal(typeof await control.ended, 'boolean');
    }));
  },
};

const API_CORPUS = [
  'HTTP/1.1 204 No Content\r\nServer: Cloud Hypervisor API\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{"state":"Running"}',
  `HTTP/1.1 400 Bad Request\r\nContent-Length: ${100 + VALUE.length}\r\n\r\n${`InvalidSyntax(io.systemd.credential.binary:x=${VALUE})`.padEnd(100 + VALUE.length)}`,
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
];

const api: Target = {
  name: 'vmm-answers',
  of: 'src/vmm/vmm-api.ts, descriptor-request.ts: answers of Cloud Hypervisor and Firecracker',
  corpus: API_CORPUS,
  words: ['Content-Length: 65537', 'Transfer-Encoding: chunked\r\n', '101', VALUE, 'io.systemd.credential:', '\r\n\r\n', '1;x=y\r\n', 'Connection: Upgrade\r\n'],
  maxBytes: 8192,
  check: async (input, random) => {
    const whole = unless(isRefusal('launch_failed'), () => takeWholeAnswer('PUT /x', input.toString()));
    assert.ok(whole === undefined || JSON.stringify(whole).length <= 6 * input.length);
    // One in sixteen over a socket, through Node's own parser: it is the slower half.
    if (!random.once(16)) return;
    const at = await socket();
    at.with(input, random);
    await refusedOr(['launch_failed'], vmmRequest({ control: at.path }, 'PUT', '/api/v1/vm.create', { a: CANARY }, SIGNAL));
  },
};

const dial: Target = {
  name: 'vsock-dial',
  of: 'src/live/agent-dial.ts: a VSOCK device\'s answer to CONNECT',
  corpus: ['OK 1073741824\n', 'OK 0\nHTTP/1.1 200 OK\r\n\r\n', 'OK 9999999999\n'],
  words: ['OK ', '\n', 'ERR'],
  maxBytes: 200,
  check: async (input, random) => {
    const at = await socket();
    at.with(input, { ...random, once: () => false });
    const sockets = new AgentSockets(at.path, { size: 0, closeAll: () => undefined });
    await refusedOr(['agent_unreachable', 'agent_protocol'], dialAgent(sockets, SIGNAL).then(({ socket: dialled, rest }) => {
      dialled.on('error', () => undefined);
      sockets.end(dialled);
      assert.match(input.toString('latin1'), /^OK [0-9]{1,10}\n/);
      assert.ok(rest.length < input.length);
    }));
  },
};

export const vmmTargets: readonly Target[] = [qmp, api, dial];
