// A host of today and a guest of every wire version that was recorded: the guest says the recorded bytes, and the
// host must answer what that guest was written for.
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { AgentCall, ExecSession } from '../../src/live/contract.ts';
import { FRAME } from '../../src/wire/exec-frames.ts';
import { assertSaysTheSame, bytesOf, CONVERSATIONS, firstMessage, onlyMessage, type Conversation } from './conversations.ts';
import { bench, until, type Bench } from './live-vm.ts';
import { recordedVm } from './recorded-vm.ts';
import type { HostAction } from './recording.ts';
import { payload } from './wire-agent.ts';

/** One connection as the recorded guest has it: it says what was recorded, and takes what the host says. */
class GuestEnd {
  readonly #socket: Socket;
  #unread: Buffer;
  #arrived: () => void = () => {};
  #ended = false;
  /** After 101 there are frames, and no messages. */
  hasFrames = false;

  constructor(socket: Socket, first: Buffer = Buffer.alloc(0)) {
    this.#socket = socket;
    this.#unread = first;
    socket.on('data', (chunk) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#arrived();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#arrived();
    });
  }

  say(bytes: Buffer): void {
    this.#socket.write(bytes);
    if (bytes.toString('latin1').startsWith('HTTP/1.1 101 ')) this.hasFrames = true;
  }

  /** Takes as much as was recorded, and fails where it is something else. */
  async hear(recorded: Buffer): Promise<void> {
    const size = (): number | undefined => (this.hasFrames ? (this.#unread.byteLength >= recorded.byteLength ? recorded.byteLength : undefined) : firstMessage(this.#unread)?.size);
    while (size() === undefined) {
      assert.ok(!this.#ended, `the host closed the connection before it said: ${recorded.toString('latin1', 0, 60)}`);
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
    const said = this.#unread.subarray(0, size());
    this.#unread = this.#unread.subarray(said.byteLength);
    if (this.hasFrames) assert.deepEqual(said, recorded);
    else assertSaysTheSame(onlyMessage(said), onlyMessage(recorded));
  }
}

/** Does for the host what its daemon does between the bytes. Returns what is under way. */
function actor({ store, vm }: Bench) {
  const forever = new AbortController().signal;
  let session: Promise<ExecSession> | undefined;
  const call = async <T>(use: (call: AgentCall) => Promise<T>): Promise<T> => use(await vm.call(forever));
  return (action: HostAction): Promise<unknown> | undefined => {
    switch (action.does) {
      case 'set': store.set(action.name, action.value, action); return undefined;
      case 'remove': store.set(action.name, undefined); return undefined;
      case 'wait': return until(vm, () => vm.status().synced);
      case 'health': return void call((agent) => agent.health());
      case 'exec': return void (session = call((agent) => agent.exec({ argv: [...action.argv] as [string], uid: 0, env: [], stdin: true })));
      case 'stdin': return session?.then((exec) => exec.send(action.text === undefined ? { type: FRAME.stdinEnd, payload: payload('') } : { type: FRAME.stdin, payload: payload(action.text) }));
    }
  };
}

async function replay(t: TestContext, { pieces }: Conversation): Promise<void> {
  const host = await bench(t, recordedVm());
  // The dial at the start of the service finds an agent that wants no session, and was not recorded.
  await host.agent.saw('POST /v1/challenge');
  const dialled: GuestEnd[] = [];
  let arrived = (): void => {};
  host.device.agent = (socket, first) => {
    dialled.push(new GuestEnd(socket, first));
    arrived();
  };
  const nextDialled = async (): Promise<GuestEnd> => {
    while (dialled.length === 0) await new Promise<void>((resolve) => (arrived = resolve));
    return dialled.shift() as GuestEnd;
  };
  const act = actor(host);
  const ends = new Map<number, GuestEnd>();
  for (const piece of pieces) {
    if ('does' in piece) {
      await act(piece);
      continue;
    }
    const { connection, from, text = '' } = piece;
    // These two are between the host and the VSOCK device.
    if (text.startsWith('CONNECT ')) ends.set(connection, await nextDialled());
    else if (!text.startsWith('OK ')) {
      const end = ends.get(connection) ?? new GuestEnd(await host.device.dialHost());
      ends.set(connection, end);
      if (from === 'guest') end.say(bytesOf(piece));
      else await end.hear(bytesOf(piece));
    }
  }
}

test('at least one conversation is recorded', () => {
  assert.ok(CONVERSATIONS.some(({ name }) => name === 'wire-1'));
});

for (const conversation of CONVERSATIONS) {
  test(`a guest that speaks ${conversation.name} is served as when it was recorded`, { timeout: 60_000 }, (t) => replay(t, conversation));

  test(`a host that answers ${conversation.name} otherwise is noticed`, { timeout: 60_000 }, async (t) => {
    const pieces = conversation.pieces.map((piece) => ('does' in piece || piece.from === 'guest' ? piece : { ...piece, ...(piece.text === undefined ? {} : { text: piece.text.replace('.4"', '.5"') }) }));
    await assert.rejects(replay(t, { ...conversation, pieces }), /etag/);
  });
}
