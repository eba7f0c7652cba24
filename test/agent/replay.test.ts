// The agent of today and a host of every wire version that was recorded: the host says the recorded bytes, but for
// proofs, which depend on what the agent draws. How they are made is written out here once more: it is the
// version's, whatever the product's code becomes.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { bytesOf, CONVERSATIONS, firstMessage, onlyMessage, type Conversation, type Message } from '../live/conversations.ts';
import type { RecordedBytes } from '../live/recording.ts';
import { readArchive, type HeldFile } from '../live/wire-agent.ts';
import { AGENT } from './guest-fixture.ts';

/** No credential of this machine's firmware is the agent's. */
const TOKEN = '';
const WAIT_MS = 30_000;

const hmac = (key: string, text: string): string => createHmac('sha256', key).update(text).digest('hex');

/** Reads messages of one connection, one at a time, then bytes. */
class Connection {
  readonly socket: Socket;
  #unread = Buffer.alloc(0);
  #arrived: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#arrived();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#arrived());
  }

  async #take(size: () => number | undefined): Promise<Buffer> {
    for (;;) {
      const found = size();
      if (found !== undefined) {
        const taken = this.#unread.subarray(0, found);
        this.#unread = this.#unread.subarray(found);
        return taken;
      }
      if (this.socket.closed) throw new Error('the agent closed the connection');
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  line = (): Promise<Buffer> => this.#take(() => this.#unread.indexOf('\n') + 1 || undefined);
  message = async (): Promise<Message> => onlyMessage(await this.#take(() => firstMessage(this.#unread)?.size));
  /** docs/wire.md: type, length, payload. */
  frame = async (): Promise<{ type: number; payload: string }> => {
    const whole = await this.#take(() => {
      if (this.#unread.byteLength < 5) return undefined;
      const size = 5 + this.#unread.readUInt32BE(1);
      return this.#unread.byteLength < size ? undefined : size;
    });
    return { type: whole[0] as number, payload: whole.toString('latin1', 5) };
  };
}

/** What a recorded host said, found by what it answered. */
class RecordedHost {
  readonly #bytes: readonly RecordedBytes[];

  constructor({ pieces }: Conversation) {
    this.#bytes = pieces.filter((piece): piece is RecordedBytes => !('does' in piece));
  }

  /** The answer to the first request that begins so, and has this header or not. */
  answerTo(start: string, ifNoneMatch?: string): Buffer | undefined {
    const at = this.#bytes.findIndex((piece) => piece.from === 'guest' && piece.text?.startsWith(start)
      && /If-None-Match: (\S+)/.exec(piece.text)?.[1] === ifNoneMatch);
    const request = this.#bytes[at];
    const answer = request === undefined ? undefined : this.#bytes.slice(at + 1).find(({ connection, from }) => connection === request.connection && from === 'host');
    return answer === undefined ? undefined : bytesOf(answer);
  }

  /** Everything the host said on the connection on which it made this request. */
  callOf(start: string): Buffer[] {
    const call = this.#bytes.find(({ from, text }) => from === 'host' && text?.startsWith(start));
    return this.#bytes.filter(({ connection, from }) => connection === call?.connection && from === 'host').map(bytesOf);
  }
}

interface Replayed {
  readonly directory: string;
  readonly credstore: string;
  readonly child: ChildProcess;
  readonly path: string;
}

async function startAgent(t: TestContext, serve: (socket: Socket) => void): Promise<Replayed> {
  const scratch = mkdtempSync('/dev/shm/slicer-replay-');
  const [path, directory, credstore] = ['vm.vsock', 'secrets', 'credstore'].map((name) => join(scratch, name)) as [string, string, string];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    serve(socket);
  });
  server.listen(`${path}_901`);
  await once(server, 'listening');
  const child = spawn(AGENT, ['run', '--socket', path, '--dir', directory, '--credstore', credstore], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(async () => {
    child.kill('SIGKILL');
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
    rmSync(scratch, { recursive: true });
  });
  return { directory, credstore, child, path };
}

/** Dials the agent, and proves both sides as the version has it. */
async function dial(path: string, recorded: readonly Buffer[], purpose: 'session' | 'call', key: string): Promise<{ connection: Connection; proof: string; nonces: string }> {
  const connection = new Connection(connect(path));
  const [greeting, challenge] = recorded as [Buffer, Buffer];
  connection.socket.write(greeting);
  assert.match(String(await connection.line()), /^OK \d+\n$/);
  connection.socket.write(challenge);
  const answer = await connection.message();
  assert.equal(answer.start.split(' ')[1], '200');
  const { nonce: host } = JSON.parse(String(onlyMessage(challenge).body));
  const { nonce: guest, proof } = JSON.parse(String(answer.body));
  assert.equal(proof, hmac(key, `slicer/1 guest ${purpose} ${host} ${guest}`));
  return { connection, proof: hmac(key, `slicer/1 host ${purpose} ${guest} ${host}`), nonces: `${host} ${guest}` };
}

/** The recorded request, with the proof that is right here. */
const withProof = (recorded: Buffer, proof: string): Buffer => Buffer.from(recorded.toString('latin1').replace(/((?:Slicer-Proof |"proof":"))[0-9a-f]{64}/, `$1${proof}`), 'latin1');

const PREFIX = '.cred.';

/** What the archives so far leave, as the page on the wire tells it. */
function apply(held: Map<string, HeldFile>, { start, body }: Message): Map<string, HeldFile> {
  const next = new Map(start.includes(' 200 ') ? [] : held);
  for (const [name, file] of readArchive(body)) {
    if (name.startsWith('.wh.')) next.delete(name.slice('.wh.'.length));
    else next.set(name, file);
  }
  return next;
}

function assertHolds({ directory, credstore }: Replayed, held: ReadonlyMap<string, HeldFile>): void {
  const names = [...held.keys()];
  assert.deepEqual(readdirSync(directory).filter((name) => !name.startsWith('.')).sort(), names.filter((name) => !name.startsWith(PREFIX)).sort());
  assert.deepEqual(readdirSync(credstore).filter((name) => !name.startsWith('.')).sort(), names.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length)).sort());
  for (const [name, { mode, uid, gid, bytes }] of held) {
    const file = name.startsWith(PREFIX) ? join(credstore, name.slice(PREFIX.length)) : join(directory, name);
    const stat = statSync(file);
    assert.deepEqual({ mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, bytes: readFileSync(file) }, { mode, uid, gid, bytes }, name);
  }
}

const skip = process.geteuid?.() === 0 ? false : 'only root can give files to other owners';

for (const conversation of CONVERSATIONS) {
  test(`the agent is served by a host that speaks ${conversation.name}`, { skip, timeout: 2 * WAIT_MS }, async (t) => {
    const host = new RecordedHost(conversation);
    const seen: string[] = [];
    let held = new Map<string, HeldFile>();
    let sessionKey = '';
    /** What is still to come. */
    const awaited = new Set(['the poll that is held', 'the end of userdata']);
    let settle: (error?: Error) => void;
    const finished = new Promise<void>((resolve, reject) => (settle = (error) => (error === undefined ? resolve() : reject(error))));
    const came = (what: string): void => {
      awaited.delete(what);
      if (awaited.size === 0) settle();
    };

    const session = async (agent: Replayed): Promise<void> => {
      const recorded = host.callOf('PUT /v1/session');
      const { connection, proof, nonces } = await dial(agent.path, recorded, 'session', TOKEN);
      const offer = recorded[2] as Buffer;
      const { share } = JSON.parse(String(onlyMessage(offer).body));
      sessionKey = hmac(TOKEN, `slicer/1 session-key ${share} ${nonces}`);
      connection.socket.write(withProof(offer, proof));
      assert.equal((await connection.message()).start.split(' ')[1], '204');
    };
    const answer = async (agent: Replayed, { start, headers }: Message, write: (bytes: Buffer) => void): Promise<void> => {
      const [method, target] = start.split(' ') as [string, string];
      seen.push(`${method} ${target.split('?')[0]}`);
      if (target === '/v1/hello') {
        write(host.answerTo('POST /v1/hello') as Buffer);
        return session(agent);
      }
      assert.equal(headers.get('authorization'), `Bearer ${sessionKey}`);
      if (start.startsWith('PUT /v1/userdata')) came('the end of userdata');
      if (!target.startsWith('/v1/secrets')) return write(host.answerTo(`${method} ${target} `) ?? assert.fail(`nothing is recorded for ${start}`));
      const acknowledged = headers.get('if-none-match');
      if (acknowledged !== undefined) assertHolds(agent, held);
      const recorded = host.answerTo('GET /v1/secrets', acknowledged) ?? assert.fail(`nothing is recorded for ${start} of ${acknowledged}`);
      const message = onlyMessage(recorded);
      // The last of what was recorded; a poll is held from here.
      if (message.start.includes(' 304 ') && target.endsWith('?wait')) return came('the poll that is held');
      if (!message.start.includes(' 304 ')) held = apply(held, message);
      write(recorded);
    };
    const agent = await startAgent(t, (socket) => {
      const connection = new Connection(socket);
      void (async () => {
        for (;;) await answer(agent, await connection.message(), (bytes) => void socket.write(bytes));
      })().catch((error: Error) => (error.message.includes('closed the connection') ? undefined : settle(error)));
    });
    agent.child.once('exit', (code) => settle(new Error(`the agent ended with ${code}`)));
    await finished;
    assertHolds(agent, held);
    assert.deepEqual([...held.keys()], ['tls-key'], 'what was removed is gone, and what came with it is there');
    for (const request of ['POST /v1/hello', 'GET /v1/secrets', 'POST /v1/userdata', 'PUT /v1/userdata']) assert.ok(seen.includes(request), request);

    const [greeting, challenge, question] = host.callOf('GET /v1/health') as [Buffer, Buffer, Buffer];
    const health = await dial(agent.path, [greeting, challenge], 'call', sessionKey);
    health.connection.socket.write(withProof(question, health.proof));
    const told = JSON.parse(String((await health.connection.message()).body)) as Record<string, unknown>;
    assert.deepEqual(['agent_version', 'agent_uptime', 'system_uptime', 'userdata_ran'].map((name) => typeof told[name]), ['string', 'number', 'number', 'boolean']);

    const [, execChallenge, command, ...frames] = host.callOf('POST /v1/exec') as [Buffer, Buffer, Buffer, ...Buffer[]];
    const exec = await dial(agent.path, [greeting, execChallenge], 'call', sessionKey);
    exec.connection.socket.write(withProof(command, exec.proof));
    assert.match((await exec.connection.message()).start, / 101 /);
    for (const frame of frames) exec.connection.socket.write(frame);
    const [started, output, exit] = [await exec.connection.frame(), await exec.connection.frame(), await exec.connection.frame()];
    assert.deepEqual([started.type, output, exit], [16, { type: 17, payload: 'hi\n' }, { type: 19, payload: '0' }]);
    for (const { connection } of [health, exec]) connection.socket.destroy();
  });
}
