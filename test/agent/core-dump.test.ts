import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const AGENT = join(import.meta.dirname, '../../build/slicer-agent-x86_64');
const USER = 1000;

test('the agent leaves no core dump', { skip: process.geteuid?.() !== 0 && 'run as root' }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-core-'));
  chownSync(directory, USER, USER);
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'log');
  const agent = spawn(AGENT, ['console', '--file', file, '--max-bytes', '1000'], { uid: USER, gid: USER, stdio: ['pipe', 'ignore', 'inherit'] });
  t.after(() => agent.kill());
  agent.stdin.write('x');
  while (!existsSync(file) || statSync(file).size === 0) await new Promise((resolve) => setImmediate(resolve));
  // proc(5): of a process that can't be dumped, and of no other of this user, root owns the files.
  assert.equal(statSync(`/proc/${agent.pid}/environ`).uid, 0);
  agent.stdin.end();
  await once(agent, 'exit');
});
