// Inputs that showed a fault once, for the targets that found it, or that would have.
import { test } from 'node:test';
import { randomFor } from './random.ts';
import { TARGETS } from './targets.ts';

const FOUND: readonly { readonly target: string; readonly input: string; readonly fault: string }[] = [
  { target: 'agent-files', input: '::0:4294967295:\n', fault: 'the group that chown(2) takes for none, in /etc/passwd' },
  { target: 'agent-files', input: '::0:4294967296:\n', fault: 'a group of 33 bits, of which 32 are those of root\'s, in /etc/passwd' },
  { target: 'agent-files', input: `::0:${'9'.repeat(400)}:\n`, fault: 'a group that no number holds, in /etc/passwd' },
  { target: 'agent-files', input: '\x0b\xff', fault: 'a table of the firmware that ends within its formatted part' },
  { target: 'agent-files', input: 'root:x:0:0::/:\nx:x:4294967296:root\n', fault: 'a group of 33 bits, of which 32 are those of root\'s, in /etc/group' },
  { target: 'agent-manifest', input: '../x\n/etc/passwd\n..\n', fault: 'names that lead out of the directory, in the list of what it holds' },
  { target: 'agent-manifest', input: 'api-key\napi-key\n', fault: 'a name twice in the list of what it holds' },
  { target: 'agent-inittab', input: '#::respawn:/usr/bin/slicer-agent run\n::sysinit:/etc/init.d/rcS\n', fault: 'its own line, which somebody commented out' },
  { target: 'agent-control', input: 'constructor\n__proto__\ntoString\n', fault: 'a property that every object has in the place of a command' },
  { target: 'agent-control', input: 'sync\nstatus\n', fault: 'a command behind another' },
  { target: 'agent-control', input: '{"value":', fault: 'half an answer of an agent that was ended' },
  { target: 'agent-commands', input: 'null', fault: 'a request that is none, with the ends of its streams' },
  { target: 'agent-commands', input: '{"argv":["/bin/true"],"env":[],"cwd":"/","uid":"x","gid":-1,"groups":[],"stdin":true}', fault: 'a user who is no number, and would be root' },
  { target: 'agent-commands', input: '{"pid":1}\n', fault: 'an answer whose process would be every process' },
  { target: 'api-requests', input: 'GET /healthz HTTP/1.1\r\n\r\n', fault: 'a request for no host, whose answer said nothing' },
  { target: 'api-requests', input: 'GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n', fault: 'a host that no address can have, the same' },
  { target: 'api-requests', input: 'GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n', fault: 'an expectation that nobody can meet, the same' },
  { target: 'command-line', input: '--credentia"-\xffxq7zCANARYxq7z', fault: 'a value behind another character than "="' },
  { target: 'yaml', input: '{"":"","s":[{"":""}]}\r', fault: 'JSON before a carriage return, which YAML does not take' },
  { target: 'small-files', input: 'op:x::\n', fault: 'a group without a number, which would be root\'s' },
  { target: 'small-files', input: '\n', fault: 'an owner of a tap who is nobody, and would be root' },
  { target: 'small-files', input: `${'9'.repeat(400)}\n`, fault: 'a process that no number holds, in a lock' },
  { target: 'small-files', input: '', fault: 'a boot token that is empty, as that of a guest without one' },
  { target: 'proc', input: '\rUid:\t', fault: 'the name of a process that looks like the line of its user' },
  { target: 'proc', input: '42 (qemu) S 1 7', fault: 'a process table that ends before the time' },
  { target: 'machine', input: 'model name\t: x CPU @ 2.4.1GHz\n', fault: 'a rate that is no number' },
  { target: 'machine', input: `cpu MHz: ${'9'.repeat(320)}\n`, fault: 'a rate that has no end' },
];

for (const { target, input, fault } of FOUND) {
  test(`${target} reads ${fault}, and keeps its promises`, async () => {
    await TARGETS.find(({ name }) => name === target)?.check(Buffer.from(input, 'latin1'), randomFor(0, 0));
  });
}
