// Where systemd confines the agent, a second process of it starts what the host runs: it must be the same to the
// host, and not be the agent's child.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { ExecSession } from '../../src/live/contract.ts';
import { FRAME } from '../../src/wire/exec-frames.ts';
import type { ExecRequest } from '../../src/wire/protocol.ts';
import { AGENT, startGuest } from './guest-fixture.ts';

interface Confined {
  readonly service: ChildProcess;
  readonly agent: ChildProcess;
  readonly socket: string;
  exec(request: Partial<ExecRequest>): Promise<ExecSession>;
}

async function confined(context: TestContext, isThere = true): Promise<Confined> {
  const directory = mkdtempSync('/dev/shm/slicer-commands-');
  const socket = join(directory, 'commands.sock');
  const service = spawn(AGENT, isThere ? ['commands', '--commands', socket] : ['version'], { stdio: 'ignore' });
  context.after(() => {
    service.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });
  if (isThere && !existsSync(socket)) await new Promise<void>((resolve) => {
    const watcher = watch(directory, () => {
      watcher.close();
      resolve();
    });
    if (existsSync(socket)) watcher.close(), resolve();
  });
  const guest = await startGuest(context);
  const agent = await guest.run(['--commands', socket]);
  return {
    service, agent, socket,
    exec: async (request) => {
      const call = await guest.vm.call(AbortSignal.timeout(30_000));
      return call.exec({ argv: ['true'], uid: 0, env: [], stdin: false, ...request });
    },
  };
}

interface Ending {
  readonly stdout: string;
  readonly stderr: string;
  readonly last: readonly [type: number, text: string];
}

async function endOf(session: ExecSession): Promise<Ending> {
  const ending = { stdout: '', stderr: '', last: [-1, ''] as [number, string] };
  for await (const { type, payload } of session.frames) {
    const text = Buffer.from(payload).toString();
    if (type === FRAME.stdout) ending.stdout += text;
    if (type === FRAME.stderr) ending.stderr += text;
    ending.last = [type, text];
  }
  session.close();
  return ending;
}

const shell = (script: string): Partial<ExecRequest> => ({ argv: ['/bin/sh', '-c', script] });

test('a command is no child of an agent that has commands started for it, and has its input, output and exit code', async (context) => {
  const { service, agent, socket, exec } = await confined(context);
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  const session = await exec({ ...shell('echo $PPID; cat; echo oops >&2; exit 3'), stdin: true });
  // At once, however long the start takes.
  await session.send({ type: FRAME.stdin, payload: Buffer.from('typed\n') });
  await session.send({ type: FRAME.stdinEnd, payload: Buffer.alloc(0) });
  const ending = await endOf(session);
  assert.deepEqual(ending, { stdout: `${service.pid}\ntyped\n`, stderr: 'oops\n', last: [FRAME.exit, '3'] });
  assert.notEqual(service.pid, agent.pid);
});

test('a program that can\'t be started, and a directory that is not there, are told as they are without', async (context) => {
  const { exec } = await confined(context);
  const missing = await endOf(await exec({ argv: ['no-such-program'] }));
  assert.deepEqual(missing.last, [FRAME.exit, '127']);
  assert.match(missing.stderr, /^slicer-agent: no-such-program: No such file or directory\n$/);
  assert.deepEqual((await endOf(await exec({ cwd: '/no/such/directory' }))).last, [FRAME.failed, '/no/such/directory: No such file or directory']);
});

test('many at once, much output and a signal come through', async (context) => {
  const { exec } = await confined(context);
  const endings = await Promise.all(Array.from({ length: 20 }, async (_, index) => endOf(await exec(shell(`head -c 200000 /dev/zero; exit ${index}`)))));
  assert.deepEqual(endings.map(({ stdout, last: [, code] }) => [stdout.length, code]), endings.map((_, index) => [200_000, String(index)]));
  const session = await exec(shell('echo up; sleep 1000'));
  let last = '';
  for await (const { type, payload } of session.frames) {
    last = Buffer.from(payload).toString();
    if (type === FRAME.stdout) await session.send({ type: FRAME.signal, payload: Buffer.from([15]) });
  }
  assert.equal(last, String(128 + 15));
});

test('where nobody starts commands the host is told, and secrets go on', async (context) => {
  const { exec } = await confined(context, false);
  const [type, text] = (await endOf(await exec({}))).last;
  assert.equal(type, FRAME.failed);
  assert.match(text, /No such file or directory/);
});

test('a command whose starter is killed has ended for the host', async (context) => {
  const { service, exec } = await confined(context);
  const session = await exec(shell('echo up; exec sleep 1000'));
  let last: readonly [number, string] = [-1, ''];
  for await (const { type, payload } of session.frames) {
    last = [type, Buffer.from(payload).toString()];
    if (type === FRAME.stdout) service.kill('SIGKILL');
  }
  assert.deepEqual(last, [FRAME.exit, '129']);
});
