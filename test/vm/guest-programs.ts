// Programs and scripts for the guest: the attacker, compiled here, and what has to run there while its
// agent does not.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './parts.ts';
import { eventually } from './patience.ts';
import type { Slicer } from './slicer.ts';

/** The attacker as a static program for any x86-64 guest. */
export const compileAttacker = (): Buffer => compileForGuest('attacker');

/** One of the C programs beside this file, the same. */
export function compileForGuest(name: string): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-attacker-'));
  try {
    const program = join(directory, name);
    execFileSync('gcc', ['-static', '-O2', '-s', '-Wall', '-Werror', '-o', program, join(ROOT, `test/vm/${name}.c`)]);
    return readFileSync(program);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Starts a script in the guest that runs as root with no agent there, and resolves as soon as it was
 * handed over: the agent ends with it, so `outputWithoutAgent` has the rest. init starts the agent again
 * when the script calls `start_agent`, at the latest when it ends.
 */
export async function runWithoutAgent(slicer: Slicer, vm: string, script: string): Promise<void> {
  const whole = `
start_agent() { [ -e /tmp/inittab ] && mv /tmp/inittab /etc/inittab && kill -HUP 1; }
rm -f /tmp/without-agent.done
cp /etc/inittab /tmp/inittab
sed -i /slicer-agent/d /etc/inittab
kill -HUP 1
usleep 200000
kill $(pidof slicer-agent)
while pidof slicer-agent > /dev/null; do usleep 10000; done
( ${script}
) > /tmp/without-agent.out 2>&1
start_agent
touch /tmp/without-agent.done
`;
  await slicer.inGuest(vm, 'cat > /tmp/without-agent', { stdin: whole });
  await slicer.inGuest(vm, 'setsid sh /tmp/without-agent > /dev/null 2>&1 < /dev/null &');
}

/** What the script wrote, once it has ended and the agent is back. */
export async function outputWithoutAgent(slicer: Slicer, vm: string): Promise<string> {
  let last = { exitCode: -1, stdout: '', stderr: '' };
  await eventually(() => `an agent is in ${vm}: ${last.stderr}`, async () => {
    last = await slicer.run(['vm', 'exec', vm, '--shell', '--', '[ -e /tmp/without-agent.done ] && cat /tmp/without-agent.out']);
    return last.exitCode === 0;
  });
  return last.stdout;
}
