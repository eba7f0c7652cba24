import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { endProcesses, findMarked, isAlive, PROCESS_MARK, startTimeOf, waitForEnd } from '../../src/vm/process-table.ts';
import { ProcessPoll } from '../../src/vm/watched-process.ts';

/** A process that runs until it is ended; `body` runs in it before it says that it is ready. */
async function start(t: TestContext, body = '', env: NodeJS.ProcessEnv = {}): Promise<{ child: ChildProcess; identity: { pid: number; start_time: number } }> {
  const script = `${body}; process.stdout.write('ready'); setInterval(() => undefined, 1000)`;
  const child = spawn(process.execPath, ['-e', script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout!, 'data');
  const pid = child.pid!;
  return { child, identity: { pid, start_time: startTimeOf(pid)! } };
}

test('a process is known by id and start time together', async (t) => {
  const { identity } = await start(t);
  assert.ok(isAlive(identity));
  assert.ok(!isAlive({ ...identity, start_time: identity.start_time + 1 }));
});

test('a zombie has ended', async (t) => {
  // The second sh did not start cat and so never waits for it; cat ends when its input does.
  const parent = spawn('/bin/sh', ['-c', '/bin/cat <&3 & exec 3<&-; exec /bin/sh -c "echo $!; exec /bin/sleep 60"'], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  t.after(() => parent.kill('SIGKILL'));
  const [chunk] = await once(parent.stdout!, 'data') as [Buffer];
  const pid = Number(chunk.toString());
  const stat = (): string => readFileSync(`/proc/${pid}/stat`, 'latin1');
  const identity = { pid, start_time: Number(stat().split(' ')[21]) };
  assert.ok(isAlive(identity));
  (parent.stdio[3] as Writable).end();
  assert.ok(await waitForEnd([identity], 5_000));
  assert.match(stat(), /^[0-9]+ \(cat\) Z /);
});

test('a process with another start time is not signalled', async (t) => {
  const { identity } = await start(t);
  await endProcesses([{ ...identity, start_time: identity.start_time - 1 }], 0);
  assert.ok(isAlive(identity));
});

test('a process that ignores SIGTERM is killed when its grace is over', async (t) => {
  const { identity } = await start(t, "process.on('SIGTERM', () => undefined)");
  await endProcesses([identity], 50);
  assert.ok(!isAlive(identity));
});

test('a process is found by its mark, exactly', async (t) => {
  const directory = `/nowhere/${process.pid}/vms/web-1`;
  const { identity } = await start(t, '', { [PROCESS_MARK]: directory });
  await start(t, '', { [PROCESS_MARK]: `${directory}0` });
  assert.deepEqual(await findMarked(directory), [identity]);
  await endProcesses([identity], 1_000);
  assert.deepEqual(await findMarked(directory), []);
});

test('the end of a process that is no child is noticed', async (t) => {
  const { identity } = await start(t);
  const poll = new ProcessPoll();
  t.after(() => poll.close());
  const { ended } = poll.watch({ role: 'vmm', ...identity });
  // The poll keeps no process alive, and so not this one.
  const keep = setTimeout(() => undefined, 60_000);
  process.kill(identity.pid, 'SIGKILL');
  assert.equal(await ended, 'ended');
  clearTimeout(keep);
});
