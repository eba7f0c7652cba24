// How a command ends that can't be started: as it does in a shell.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { FRAME } from '../../src/wire/exec-frames.ts';
import type { ExecRequest } from '../../src/wire/protocol.ts';
import { startGuest } from './guest-fixture.ts';

interface Ending {
  readonly types: readonly number[];
  /** Of the last frame. */
  readonly text: string;
  readonly stderr: string;
}

async function endingOf(context: TestContext, request: Partial<ExecRequest>): Promise<Ending> {
  const guest = await startGuest(context);
  await guest.run();
  const call = await guest.vm.call(AbortSignal.timeout(10_000));
  const session = await call.exec({ argv: ['true'], uid: 0, env: [], stdin: false, ...request });
  const ending = { types: [] as number[], text: '', stderr: '' };
  for await (const { type, payload } of session.frames) {
    ending.types.push(type);
    ending.text = Buffer.from(payload).toString();
    if (type === FRAME.stderr) ending.stderr += ending.text;
  }
  call.close();
  return ending;
}

const programs: readonly [string, readonly string[], number, RegExp][] = [
  ['is not in PATH', ['no-such-program'], 127, /^slicer-agent: no-such-program: No such file or directory\n$/],
  ['is not there', ['/no/such/program'], 127, /^slicer-agent: \/no\/such\/program: No such file or directory\n$/],
  ['may not be executed', ['/etc/passwd'], 126, /^slicer-agent: \/etc\/passwd: Permission denied\n$/],
  ['is a directory', ['/etc'], 126, /^slicer-agent: \/etc: Permission denied\n$/],
];
for (const [what, argv, code, stderr] of programs) {
  test(`a program that ${what} ends with ${code}, and stderr says why`, async (context) => {
    const ending = await endingOf(context, { argv });
    assert.deepEqual(ending.types, [FRAME.started, FRAME.stderr, FRAME.exit]);
    assert.equal(ending.text, String(code));
    assert.match(ending.stderr, stderr);
  });
}

test('a working directory that is not there is no fault of the program\'s', async (context) => {
  const { types, text } = await endingOf(context, { cwd: '/no/such/directory' });
  assert.deepEqual(types, [FRAME.failed]);
  assert.equal(text, '/no/such/directory: No such file or directory');
});

test('the connection stays after the last frame, for the host to end', async (context) => {
  const guest = await startGuest(context);
  await guest.run();
  const call = await guest.vm.call(AbortSignal.timeout(10_000));
  const session = await call.exec({ argv: ['true'], uid: 0, env: [], stdin: false });
  const frames = session.frames[Symbol.asyncIterator]();
  for (let next = await frames.next(); next.value?.type !== FRAME.exit; next = await frames.next()) assert.ok(next.done !== true);
  // Another call goes through the agent and back meanwhile: had it ended the first, that would be known.
  const other = await guest.vm.call(AbortSignal.timeout(10_000));
  await other.health();
  await session.send({ type: FRAME.stdinEnd, payload: new Uint8Array(0) });
  other.close();
  call.close();
});
