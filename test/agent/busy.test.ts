import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FRAME } from '../../src/wire/exec-frames.ts';
import { AGENT_PORT } from '../../src/wire/ports.ts';
import { name, rootOnly, startGuest, value } from './guest-fixture.ts';

const hasStrace = spawnSync('strace', ['--version']).status === 0;

/** Of x86-64. */
const RENAMEAT = '264';

/** The agent gives a stranger 5 s. */
const BUSY_MS = 6_500;

test('a call that came while the agent was busy for longer than a stranger has is served, not closed', {
  skip: hasStrace ? false : 'strace is missing: apt-get install strace',
}, async (context) => {
  const guest = await startGuest(context);
  const { pid } = await guest.run();
  const strace = spawn('strace', ['-p', `${pid}`, '-e', `inject=renameat:delay_enter=${BUSY_MS}ms:when=1`], { stdio: ['ignore', 'ignore', 'pipe'] });
  context.after(() => strace.kill('SIGKILL'));
  await once(strace.stderr, 'data');
  const call = await guest.vm.call(AbortSignal.timeout(10_000));
  await guest.store.create(name('new'), value('a file to rename'), rootOnly);
  while (readFileSync(`/proc/${pid}/syscall`, 'latin1').split(' ')[0] !== RENAMEAT) await delay(5);
  const session = await call.exec({ argv: ['echo', 'served'], uid: 0, env: [], stdin: false });
  const output: string[] = [];
  for await (const { type, payload } of session.frames) {
    if (type === FRAME.stdout) output.push(Buffer.from(payload).toString());
  }
  assert.equal(output.join(''), 'served\n');
});

test('a stranger that says nothing is closed', async (context) => {
  const guest = await startGuest(context);
  await guest.run();
  const stranger = connect(guest.vsockPath);
  const closed = once(stranger, 'close');
  stranger.write(`CONNECT ${AGENT_PORT}\n`);
  const [answer] = await once(stranger, 'data') as [Buffer];
  assert.match(answer.toString(), /^OK \d+\n$/);
  await closed;
});
