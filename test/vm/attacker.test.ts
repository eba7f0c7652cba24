// Only root in the guest gets secrets. What other processes there try is in attacker.c; every byte that
// they get back is looked through.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileAttacker, outputWithoutAgent, runWithoutAgent } from './guest-programs.ts';
import { MISSING_COMPILER } from './parts.ts';
import { formsOf } from './search.ts';
import { oneGroup, withSlicer } from './slicer.ts';

const CANARY = 'canary-5b0e1c77-of-the-attacked-vm';
const ATTACKER = '/tmp/attacker';
const NO_KEY = '0'.repeat(64);
/** Finds the token in the table of OEM strings (SMBIOS type 11), as root. */
const BOOT_TOKEN = "cat /sys/firmware/dmi/entries/11-*/raw | tr '\\0' '\\n' | sed -n 's/.*io.systemd.credential.binary:slicer.boot-token=//p' | base64 -d";

const fixture = withSlicer(oneGroup(), {
  skip: MISSING_COMPILER,
  prepare: async (slicer) => slicer.put('canary', CANARY),
});
const { skip } = fixture;

/** Runs the attacker as uid 1000: its lines. */
async function attack(...words: string[]): Promise<string[]> {
  const output = await fixture.slicer.ok(['vm', 'exec', 'vm-1', '--uid=1000', '--', ATTACKER, ...words]);
  assertNoCanary(output);
  return output.trimEnd().split('\n');
}

function assertNoCanary(output: string): void {
  for (const form of formsOf(CANARY)) assert.ok(!output.includes(form), `the attacker got the value:\n${output}`);
}

test('root in the guest has the secret, and an ordinary user cannot read it', { skip }, async () => {
  const { slicer } = fixture;
  assert.equal(await slicer.launch(), 'vm-1');
  await slicer.push('vm-1', compileAttacker(), ATTACKER);
  assert.equal(await slicer.inGuest('vm-1', `${ATTACKER} read /run/slicer/secrets/canary`), `read /run/slicer/secrets/canary: ${CANARY}\n`);
  assert.deepEqual(await attack('read', '/run/slicer/secrets/canary'), ['read /run/slicer/secrets/canary: EACCES']);
});

test('what holds the boot token, or the memory of others, is closed to an ordinary user', { skip }, async () => {
  const { slicer } = fixture;
  assert.match(await slicer.inGuest('vm-1', BOOT_TOKEN), /^[0-9a-f]{64}$/);
  const paths = (await slicer.inGuest('vm-1', `ls -d /sys/firmware/dmi/entries/11-*/raw /sys/firmware/dmi/tables/* \
    /sys/firmware/qemu_fw_cfg/by_name/opt/*/raw /proc/kcore /dev/mem /proc/$(pidof slicer-agent | cut -d ' ' -f 1)/mem \
    /proc/$(pidof slicer-agent | cut -d ' ' -f 1)/environ /run/slicer/secrets.agent/agent.sock \
    /run/slicer/secrets.agent/.manifest /etc/shadow 2>/dev/null || true`)).trimEnd().split('\n');
  assert.ok(paths.some((path) => path.includes('/entries/11-')));
  assert.ok(paths.includes('/proc/kcore'));
  const outcomes = await attack('read', ...paths);
  assert.deepEqual(outcomes.filter((line) => !/: (EACCES|EPERM|ENXIO)$/.test(line)), []);
  assert.equal(outcomes.length, paths.length);
});

test('an ordinary user can bind no reserved port, and any other', { skip }, async () => {
  assert.deepEqual(await attack('ports', '900', '901', '1023', '1024', '9000'),
    ['bind 900: EACCES', 'bind 901: EACCES', 'bind 1023: EACCES', 'bind 1024: bound', 'bind 9000: bound']);
});

test('an ordinary user who asks the host for everything is refused, without a key and with wrong ones', { skip }, async () => {
  const outcomes = await attack('ask', NO_KEY, '', 'Bearer');
  assert.equal(outcomes.length, 4 * 8);
  for (const outcome of outcomes) assert.match(outcome, /: HTTP\/1\.1 40[0134] /);
  const secrets = outcomes.filter((line) => line.includes('/v1/secrets') || line.includes('/v1/userdata') || line.includes('/v1/report'));
  for (const outcome of secrets) assert.match(outcome, /: HTTP\/1\.1 401 /);
});

test('an ordinary user who passes for the host over the loopback transport gets not a byte', { skip }, async () => {
  const { slicer } = fixture;
  // Where no other transport is there he can have it loaded; here root does it for him.
  // And udev, where there is one, lets everybody ask the device for its CID.
  assert.equal(await slicer.inGuest('vm-1', 'modprobe vsock_loopback && chmod 666 /dev/vsock && grep -c ^vsock_loopback /proc/modules'), '1\n');
  const outcomes = await attack('pose');
  const reached = outcomes.filter((line) => /: nothing$/.test(line));
  assert.ok(reached.length > 0, `some connection reaches the agent's port:\n${outcomes.join('\n')}`);
  assert.deepEqual(outcomes.filter((line) => !/: (nothing|E[A-Z]+)$/.test(line)), []);
});

test('root who passes for the host over the loopback transport gets not a byte either', { skip }, async () => {
  const outcomes = (await fixture.slicer.inGuest('vm-1', `${ATTACKER} pose`)).trimEnd().split('\n');
  assert.deepEqual(outcomes.filter((line) => !/: (nothing|E[A-Z]+)$/.test(line)), []);
});

test('hellos and a crowd of connections by an ordinary user keep neither changes nor commands out', { skip }, async () => {
  const { slicer } = fixture;
  const crowd = attack('crowd', '300', '4000');
  await slicer.untilInGuest('vm-1', 'pidof attacker > /dev/null');
  for (const value of ['one', 'two', 'three']) {
    const { stderr } = await slicer.run(['secret', 'update', 'canary'], { stdin: `${CANARY} ${value}` });
    assert.match(stderr, /1 of 1/);
    assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/canary'), `${CANARY} ${value}`);
  }
  await crowd;
  await slicer.ok(['secret', 'update', 'canary'], { stdin: CANARY });
});

test('with CAP_NET_BIND_SERVICE the ports can be had, but the agent keeps its own and the host refuses', { skip }, async () => {
  const { slicer } = fixture;
  const output = await slicer.inGuest('vm-1', `${ATTACKER} --bind-service ports 900 901 1023; ${ATTACKER} --bind-service ask ${NO_KEY};`
    + ` ${ATTACKER} --bind-service pose; ${ATTACKER} --bind-service read /run/slicer/secrets/canary /sys/firmware/dmi/entries/11-0/raw`);
  assertNoCanary(output);
  const lines = output.trimEnd().split('\n');
  assert.deepEqual(lines.slice(0, 3), ['bind 900: EADDRINUSE', 'bind 901: bound', 'bind 1023: bound']);
  assert.deepEqual(lines.slice(3).filter((line) => !/: (HTTP\/1\.1 40[0134] .*|nothing|E[A-Z]+)$/.test(line)), []);
});

test("with CAP_NET_BIND_SERVICE, in the agent's place, whatever it answers it gets no session", { skip }, async () => {
  const { slicer } = fixture;
  const token = await slicer.inGuest('vm-1', BOOT_TOKEN);
  await runWithoutAgent(slicer, 'vm-1', `
${ATTACKER} --bind-service agent junk zeros empty-token token:${token} replay > /tmp/attack.out &
until grep -q bound /tmp/attack.out; do usleep 10000; done
# The agent finds its port taken, and has to come back by itself when it is free.
start_agent
wait
cat /tmp/attack.out`);
  const output = await outputWithoutAgent(slicer, 'vm-1');
  const tries = new Map(output.split(/^(?=hello: )/m).slice(1).map((text) => [/^agent ([\w-]+):/m.exec(text)?.[1], text]));
  assert.deepEqual([...tries.keys()], ['junk', 'zeros', 'empty-token', 'token', 'replay']);
  // With the right token it works: so the others are refused for the lack of it.
  assert.ok(tries.get('token')?.includes(CANARY), output);
  tries.delete('token');
  for (const [name, text] of tries) {
    assertNoCanary(text);
    assert.match(text, /POST \/v1\/challenge/, `${name}: the host dialled`);
    assert.match(text, /^then the host says: nothing$/m, `${name}: no session was offered`);
    assert.match(text, /^GET \/v1\/secrets with a key: HTTP\/1\.1 401 /m);
  }
});

test("in the agent's place it sees no command that the host wants to run, nor its environment", { skip }, async () => {
  const { slicer } = fixture;
  await slicer.ok(['secret', 'update', 'canary'], { stdin: `${CANARY} again` });
  await runWithoutAgent(slicer, 'vm-1', `${ATTACKER} --bind-service agent wait`);
  const exec = ['vm', 'exec', 'vm-1', `--env=CANARY=${CANARY}`, '--', 'echo', CANARY];
  // Until the agent has ended the command runs.
  let refused = await slicer.run(exec);
  for (let tries = 0; tries < 50 && refused.exitCode === 0; tries += 1) refused = await slicer.run(exec);
  assert.match(refused.stderr, /^slicer: error: the agent in the guest /m);
  const output = await outputWithoutAgent(slicer, 'vm-1');
  assertNoCanary(output);
  assert.match(output, /^listen on the agent's port: bound$/m);
  // An agent that has gone is not dialled at all; who is in its place before that is known sees a challenge.
  assert.match(output, /^agent wait: (nobody dialled|POST \/v1\/challenge .*"purpose":"call".*)$/m);
});

test('when all that is over the agent serves its host again', { skip }, async () => {
  const { slicer } = fixture;
  const { stderr } = await slicer.run(['secret', 'update', 'canary'], { stdin: `${CANARY} at last` });
  assert.match(stderr, /1 of 1/);
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/canary'), `${CANARY} at last`);
});

test('secrets sync without a running agent opens a session of its own', { skip }, async () => {
  const { slicer } = fixture;
  await runWithoutAgent(slicer, 'vm-1', 'rm /run/slicer/secrets/canary; slicer-agent secrets sync; cat /run/slicer/secrets/canary; slicer-agent secrets sync; echo "; $?"');
  assert.match(await outputWithoutAgent(slicer, 'vm-1'), new RegExp(`^(added|changed) canary\\n${CANARY} at last; 0\\n$`));
});
