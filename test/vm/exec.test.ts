// Commands in a guest: who they run as, what goes in and comes out, and how they end.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { oneGroup, withSlicer } from './slicer.ts';

const MIB = 1024 * 1024;

const fixture = withSlicer(oneGroup());
const { skip } = fixture;

const exec = (...words: string[]) => fixture.slicer.run(['vm', 'exec', ...words]);

const outcome = ({ exitCode, stdout, stderr }: Awaited<ReturnType<typeof exec>>) => ({ exitCode, stdout, stderr });

test('a command runs as root, without a shell in between', { skip }, async () => {
  assert.equal(await fixture.slicer.launch(), 'vm-1');
  assert.equal((await exec('vm-1', '--', 'id', '-u')).stdout, '0\n');
  assert.equal((await exec('vm-1', '--', 'echo', '$HOME;', '*', 'a  b')).stdout, '$HOME; * a  b\n');
});

test('--uid takes on the user, his group and no others', { skip }, async () => {
  assert.equal((await exec('vm-1', '--uid=1000', '--', 'id')).stdout, 'uid=1000(ubuntu) gid=1000(ubuntu) groups=1000(ubuntu)\n');
  assert.equal((await exec('--uid', '1000', 'vm-1', '--', 'id', '-u')).stdout, '1000\n');
  assert.equal((await exec('vm-1', '--uid=1000', '--gid=5', '--', 'id', '-g')).stdout, '5\n');
  assert.equal((await exec('vm-1', '--uid=4000000000', '--', 'id', '-u')).stdout, '4000000000\n');
  assert.equal((await exec('vm-1', '--uid=1000', '--', 'grep', '^Cap[EP]', '/proc/self/status')).stdout,
    'CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n');
});

test('--cwd, --env and --shell', { skip }, async () => {
  assert.equal((await exec('vm-1', '--cwd=/etc', '--', 'pwd')).stdout, '/etc\n');
  assert.equal((await exec('vm-1', '--env=A=1', '--env', 'B=two words=', '--', 'sh', '-c', 'echo "$A $B"')).stdout, '1 two words=\n');
  assert.equal((await exec('vm-1', '--shell', '--', 'echo', '$((6*7))', '|', 'cat')).stdout, '42\n');
  assert.equal((await exec('vm-1', '--uid=1000', '--shell', '--', 'echo $HOME $USER $SHELL')).stdout, '/home/ubuntu ubuntu /bin/sh\n');
});

test('1 MiB of stdin arrives exactly, and its end does too', { skip }, async () => {
  const input = randomBytes(MIB);
  const { stdout } = await fixture.slicer.run(['vm', 'exec', 'vm-1', '--', 'sha256sum'], { stdin: input });
  assert.equal(stdout, `${createHash('sha256').update(input).digest('hex')}  -\n`);
});

test('stdout and stderr come back apart and byte for byte', { skip }, async () => {
  const input = randomBytes(MIB);
  const { stdoutBytes, stderr } = await fixture.slicer.run(
    ['vm', 'exec', 'vm-1', '--shell', '--', 'cat; echo to stderr >&2'], { stdin: input });
  assert.ok(stdoutBytes.equals(input));
  assert.equal(stderr, 'to stderr\n');
});

test('a command that does not read its stdin ends all the same', { skip }, async () => {
  assert.equal((await fixture.slicer.run(['vm', 'exec', 'vm-1', '--', 'true'], { stdin: randomBytes(MIB) })).exitCode, 0);
});

test("the exit code is the command's, or 128 and the signal's number", { skip }, async () => {
  assert.equal((await exec('vm-1', '--', 'true')).exitCode, 0);
  assert.equal((await exec('vm-1', '--shell', '--', 'exit 42')).exitCode, 42);
  assert.equal((await exec('vm-1', '--shell', '--', 'kill -9 $$')).exitCode, 137);
  assert.equal((await exec('vm-1', '--shell', '--', 'kill -TERM $$')).exitCode, 143);
});

test('a program that is not there ends with 127 and one that may not be executed with 126, as in a shell', { skip }, async () => {
  for (const [program, exitCode, reason] of [
    ['no-such-program', 127, 'No such file or directory'],
    ['/etc/passwd', 126, 'Permission denied'],
  ] as const) {
    assert.deepEqual(outcome(await exec('vm-1', '--', program)), { exitCode, stdout: '', stderr: `slicer-agent: ${program}: ${reason}\n` });
  }
});

test('a command that could not be started is named, and leaves no zombie', { skip }, async () => {
  const { exitCode, stderr } = await exec('vm-1', '--cwd=/nowhere', '--', 'ls');
  assert.equal(exitCode, 1);
  assert.match(stderr, /^slicer: error: .*: \/nowhere: No such file or directory$/m);
  await exec('vm-1', '--', 'no-such-program');
  assert.equal((await exec('vm-1', '--shell', '--', "sed -n '/^State:.Z/p' /proc/[0-9]*/status")).stdout, '');
});

test('a VM that is not there is an error that says so', { skip }, async () => {
  const { stderr, exitCode } = await exec('vm-9', '--', 'true');
  assert.equal(exitCode, 4);
  assert.match(stderr, /^slicer: error: .*"vm-9"/);
});

test('ten commands at once each get their own output and exit code', { skip }, async () => {
  const results = await Promise.all(Array.from({ length: 10 }, (_, number) =>
    fixture.slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', `cat; exit ${number}`], { stdin: `input ${number}` })));
  assert.deepEqual(results.map(outcome),
    Array.from({ length: 10 }, (_, number) => ({ exitCode: number, stdout: `input ${number}`, stderr: '' })));
});

test('forty commands that are asked for in the same moment all run', { skip }, async () => {
  // Requests of one process: forty of the CLI are never this close to one another.
  const results = await Promise.all(Array.from({ length: 40 }, (_, number) =>
    fixture.slicer.api('POST', `/vm/vm-1/exec?buffered=true&cmd=echo&args=${number}`)));
  assert.deepEqual(results, Array.from({ length: 40 }, (_, number) => ({
    status: 200, body: { stdout: `${number}\n`, stderr: '', exit_code: 0 },
  })));
});

test('output that arrives while the command runs is passed on at once', { skip }, async () => {
  const { slicer } = fixture;
  // The command waits for what the test does only after it saw the output.
  const running = slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', 'echo started > /tmp/started; until [ -e /tmp/go ]; do usleep 10000; done; echo done']);
  await slicer.untilInGuest('vm-1', '[ -e /tmp/started ]');
  await slicer.inGuest('vm-1', 'touch /tmp/go');
  assert.equal((await running).stdout, 'done\n');
});

test('when the one who asked goes away the command gets SIGHUP', { skip }, async () => {
  const { slicer } = fixture;
  const { exitCode } = await slicer.shell(
    'slicer vm exec vm-1 --shell -- "trap \'touch /tmp/hung-up; exit\' HUP; touch /tmp/hanging; while :; do usleep 10000; done" & '
    + 'pid=$!; for n in $(seq 50); do slicer vm exec vm-1 -- test -e /tmp/hanging && break; done; kill -9 $pid; wait $pid');
  assert.equal(exitCode, 137);
  await slicer.untilInGuest('vm-1', '[ -e /tmp/hung-up ]');
});

test('a command that makes much output does not grow daemon or agent', { skip }, async () => {
  const { slicer } = fixture;
  const { stdoutBytes } = await slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', 'head -c 20000000 /dev/zero']);
  assert.equal(stdoutBytes.byteLength, 20_000_000);
  const peak = Number(await slicer.inGuest('vm-1', "sed -n 's/^VmHWM: *\\t*\\([0-9]*\\) kB/\\1/p' /proc/$(pidof slicer-agent | sed 's/ .*//')/status"));
  assert.ok(peak < 8 * 1024, `the agent needed ${peak} KiB`);
  assert.doesNotMatch(slicer.daemonOutput, /Warning/);
});

test('a guest that was dialled a thousand times can still be called', { skip }, async () => {
  const { slicer } = fixture;
  const [directory] = slicer.runtimeDirectories();
  // To a port on which nobody listens, as any process of the host's user may.
  for (let count = 0; count < 1000; count += 1) {
    const socket = connect(join(directory as string, 'vm-1', 'vm.vsock'));
    socket.on('error', () => undefined);
    socket.write('CONNECT 899\n');
    socket.resume();
    await once(socket, 'close');
  }
  assert.equal(await slicer.inGuest('vm-1', 'echo here'), 'here\n');
  await slicer.ok(['secret', 'create', 'later', '--from-literal=a value']);
  await slicer.untilHolds('vm-1');
  assert.equal(await slicer.inGuest('vm-1', 'cat /run/slicer/secrets/later'), 'a value');
});

test('health tells version, times and whether userdata ran', { skip }, async () => {
  const { status, body } = await fixture.slicer.api('GET', '/vm/vm-1/health');
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(body).sort(), ['agent_uptime', 'agent_version', 'hostname', 'system_uptime', 'userdata_ran']);
  assert.ok(body.agent_uptime > 0 && body.system_uptime >= body.agent_uptime - 1e9);
  assert.equal(body.userdata_ran, false);
});
