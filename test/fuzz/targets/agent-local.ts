// What the agent reads that is of its own guest: the list of what it holds, commands of root's over its socket,
// and what its two processes say to each other.
import assert from 'node:assert/strict';
import { isId } from '../../../src/secret/file-attributes.ts';
import { isCredentialName } from '../../../src/wire/credential-name.ts';
import { isFault, load, type Fault } from '../agent-modules.ts';
import { holdingsOf, isSecretName, placesInMemory, SecretsWriter } from '../agent-places.ts';
import type { Target } from '../engine.ts';
import { pieces, unless } from '../expectations.ts';
import * as os from '../quickjs/os.ts';
import * as sys from '../quickjs/sys.ts';
import { TAR_CORPUS } from './wire.ts';

const BYSTANDER = 'of-somebody-else';

const manifest: Target = {
  name: 'agent-manifest',
  of: 'agent/holdings.ts: the list of what the agent holds, and what a sync then removes',
  corpus: ['api-key\ndb-password\n', 'tls.key\napp.key\nx\n', '', `${'n'.repeat(253)}\nb\n`, 'a b\n.hidden\napi-key\n'],
  words: ['../x', '/etc/passwd', 'a/../../b', '.', '..', '.manifest', '\0', 'api-key\0', 'api-key\n', '\n\n', '\r\n', BYSTANDER.slice(0, 4)],
  check: (input, random) => {
    const listed = input.toString().split('\n');
    const places = placesInMemory(({ path, fd, stateFd }) => {
      sys.putFile(stateFd, '.manifest', input);
      sys.putFile(fd, BYSTANDER, Buffer.from('x'));
      for (const name of listed) if (path.endsWith('secrets') ? isSecretName(name) : isCredentialName(name)) sys.putFile(fd, name, Buffer.from('x'));
    });
    if (random.once(2)) places.credentials();
    for (const [index, isName] of [isSecretName, isCredentialName].entries()) {
      const place = index === 0 ? places.secrets : places.opened[1];
      if (place === undefined) continue;
      assert.deepEqual(place.holdings.names, [...new Set(listed.filter((name) => name !== '' && isName(name)))]);
      assert.deepEqual(place.holdings.altered(), []);
    }
    const writer = new SecretsWriter(places, random.once(4) ? 'delta' : 'full');
    const done = unless(isFault, () => {
      for (const piece of pieces(random, random.pick(TAR_CORPUS) as Buffer)) writer.push(piece);
      return writer.commit();
    });
    if (done === undefined) writer.abort();
    assert.deepEqual(sys.takeFindings(), []);
    for (const place of places.opened) {
      const isName = place === places.secrets ? isSecretName : isCredentialName;
      const there = new Map(sys.contents(place.directory.fd));
      if (!listed.includes(BYSTANDER)) assert.ok(there.has(BYSTANDER), 'a file of somebody else\'s is gone');
      for (const name of place.holdings.names) assert.ok(there.has(name) || done === undefined, `${name} is held, and not there`);
      // An agent that starts now knows the same.
      if (done !== undefined) assert.deepEqual(holdingsOf(place, isName).names, place.holdings.names);
      assert.deepEqual(sys.contents(place.directory.stagingFd), []);
    }
    sys.forget();
  },
};

const CHANGES = { added: [], changed: [], removed: [], unchanged: 1, elapsedMs: 0.5 };
const COMMANDS = ['sync', 'status', 'userdata'] as const;
const CONTROL_MAX_LENGTH = 4096;

interface ControlModule {
  serveControl(statePath: string, commands: object): void;
  askRunningAgent(statePath: string, command: string): Promise<unknown>;
}

const { serveControl, askRunningAgent } = await load<ControlModule>('control');

let called: string[] = [];
const take = <T>(name: string, value: T): T => {
  called.push(name);
  if (called.length % 5 === 0) throw Object.assign(new Error('it failed'), { code: 'EIO' });
  return value;
};
serveControl('/run/slicer/secrets.agent', {
  sync: async () => take('sync', CHANGES), status: () => take('status', { version: '0' }), userdata: async () => take('userdata', false),
});
const controlListener = sys.listener();

const UNSETTLED = Symbol('unsettled');

const control: Target = {
  name: 'agent-control',
  of: 'agent/control.ts: commands to the running agent, and its answers to them',
  corpus: [
    'sync\n', 'status\n', 'userdata\n', 'sync\nstatus\nsync\nuserdata\nstatus\nsync\n', `${'x'.repeat(4095)}\n`,
    '{"value":{"added":[],"changed":[],"removed":[],"unchanged":3,"elapsedMs":1}}\n', '{"error":{"code":"EIO","message":"no"}}\n', '{"value":false}\n',
  ],
  words: [...COMMANDS.map((name) => `${name}\n`), 'constructor\n', '__proto__\n', 'toString\n', 'hasOwnProperty\n', ' sync\n', 'sync \n', 'sync\r\n', '\n\n\n', 'null\n', '{"error":null}\n'],
  maxBytes: 6000,
  check: async (input, random) => {
    called = [];
    const open = sys.openCount();
    const peer = sys.dial(pieces(random, input));
    peer.isHeld = true;
    os.knock(controlListener);
    await os.readOn();
    const lines = input.toString('latin1').split('\n').slice(0, -1);
    const answers = Buffer.concat(peer.received).toString().split('\n').slice(0, -1).map((line) => JSON.parse(line) as { value?: unknown; error?: { code: string } });
    // What waits is counted in characters, of which text has at most one a byte.
    if (input.length <= CONTROL_MAX_LENGTH) assert.equal(answers.length, lines.length);
    if (!peer.closed) assert.ok(answers.length === lines.length && input.toString().split('\n').every((line) => line.length <= CONTROL_MAX_LENGTH));
    const expected = lines.slice(0, answers.length).filter((line) => COMMANDS.includes(line as 'sync'));
    assert.deepEqual(called.slice(0, expected.length), expected);
    assert.ok(called.length <= expected.length + (peer.closed ? 1 : 0), 'a command that nobody gave');
    answers.forEach(({ value, error }, index) => {
      assert.equal((value === undefined) !== (error === undefined), true);
      const isKnown = COMMANDS.includes(lines[index] as 'sync');
      assert.ok(isKnown ? error?.code !== 'usage' : error?.code === 'usage', `${lines[index]} got ${JSON.stringify({ value, error })}`);
    });
    peer.isHeld = false;
    await os.readOn();
    assert.ok(peer.closed);

    // The other end reads the same as an answer.
    const running = sys.answerWith(pieces(random, input));
    const asked = askRunningAgent('/run/slicer/secrets.agent', 'sync').catch((error: unknown) => {
      assert.ok(isFault(error), String(error));
      return undefined;
    });
    await os.readOn();
    assert.notEqual(await Promise.race([asked, Promise.resolve(UNSETTLED)]), UNSETTLED, 'a command that never ends');
    assert.ok(running.closed);
    assert.equal(sys.openCount(), open, 'descriptors are left open');
    assert.deepEqual(sys.takeFindings(), []);
  },
};

interface Program {
  readonly pid: number;
  readonly streams: readonly number[];
  onceExited(listener: (status: number) => void): void;
}

type StartProgram = (request: object, handlers: { onStarted: (program: Program) => void; onFailed: (fault: Fault, pid: number | undefined) => void }) => void;

const { serveCommands } = await load<{ serveCommands(listener: number): void }>('commands');
const { startThrough } = await load<{ startThrough(path: string): StartProgram }>('program');

/** The request that ends with one of the lines: what comes behind it is not looked at. */
function requestIn(text: string): unknown {
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) {
    try {
      return JSON.parse(text.slice(0, end));
    } catch {
      // It has more lines.
    }
  }
  throw new Error('a program without a request');
}

const REQUEST = { argv: ['/bin/true', '-x'], env: ['A=b'], cwd: '/', uid: 0, gid: 0, groups: ['1', '2'], stdin: true };
const startFromService = startThrough('/run/commands.sock');
const COMMANDS_LISTENER = sys.unixListen();
void serveCommands(COMMANDS_LISTENER);

const programs: Target = {
  name: 'agent-commands',
  of: 'agent/commands.ts, program.ts: what the agent asks of the service that starts programs, and its answers',
  corpus: [
    JSON.stringify(REQUEST), JSON.stringify({ ...REQUEST, uid: 1000, gid: 4294967294, stdin: false }), '{"pid":42}\n{"status":3}\n', '{"pid":42}\n',
    '{"failed":{"code":"ENOENT","message":"no such program","pid":43}}\n', '{"failed":{"code":"EAGAIN","message":"fork"}}\n',
  ],
  words: ['argv', 'uid', '-1', '4294967295', 'null', '{"pid":1}\n', '{"pid":0}\n', '{"pid":-2}\n', '{"status":0}\n', '{"status":256}\n', '{"pid":42}\n', '\n'],
  check: async (input, random) => {
    const spawned: { argv: readonly string[]; uid: number; gid: number; ends: readonly number[] }[] = [];
    sys.takeSpawns((program) => {
      spawned.push(program);
      return 42;
    });
    const ends = sys.pipes(true).slice(0, random.below(5));
    const held = sys.openCount() - ends.length;
    const line = random.once(8) ? input : Buffer.concat([input, Buffer.from('\n')]);
    const asker = sys.dial(pieces(random, line), [...ends]);
    os.knock(COMMANDS_LISTENER);
    await os.readOn();
    assert.ok(asker.closed && spawned.length <= 1);
    for (const { argv, uid, gid, ends: streams } of spawned) {
      const request = requestIn(line.toString()) as typeof REQUEST;
      assert.deepEqual(argv, request.argv);
      assert.ok(isId(uid) && isId(gid) && argv.length > 0 && argv.every((word) => typeof word === 'string'));
      assert.deepEqual(streams, request.stdin ? ends : [-1, ...ends]);
    }
    assert.equal(sys.openCount(), held, 'descriptors are left open');
    sys.takeSpawns(undefined);
    sys.forget();

    os.killed.splice(0);
    const before = sys.openCount();
    const service = sys.answerWith(pieces(random, input));
    const told: string[] = [];
    const statuses: number[] = [];
    let known: number | undefined;
    startFromService({ ...REQUEST, stdin: random.once(2) }, {
      onStarted: ({ pid, streams, onceExited }) => {
        told.push('started');
        known = pid;
        for (const stream of streams) if (stream >= 0) sys.close(stream);
        onceExited((status) => void statuses.push(status));
      },
      onFailed: (fault, pid) => {
        assert.ok(isFault(fault) && (pid === undefined || pid > 1));
        told.push('failed');
      },
    });
    await os.readOn();
    assert.ok(service.closed && told.length === 1, `told ${told.join(', ')}`);
    assert.equal(statuses.length, told[0] === 'started' ? 1 : 0);
    for (const status of statuses) assert.ok(Number.isInteger(status) && status >= 0 && status <= 255);
    for (const pid of os.killed) assert.ok(known !== undefined && known > 1 && pid === -known, `${pid} is signalled`);
    assert.equal(sys.openCount(), before, 'descriptors are left open');
    assert.deepEqual(sys.takeFindings(), []);
  },
};

const { withLine, withoutLine } = await load<{ withLine(text: string): string; withoutLine(text: string): string }>('install');
const { BUSYBOX_LINE, SYSVINIT_LINE } = await load<{ BUSYBOX_LINE: string; SYSVINIT_LINE: string }>('units');
const OURS = [BUSYBOX_LINE, SYSVINIT_LINE];

const inittab: Target = {
  name: 'agent-inittab',
  of: 'agent/install.ts: /etc/inittab, with the agent\'s line and without',
  corpus: ['::sysinit:/etc/init.d/rcS\n::askfirst:-/bin/sh\n', 'id:2:initdefault:\n# comment\nsi::sysinit:/etc/init.d/rcS\n', `::sysinit:/etc/init.d/rcS\n${BUSYBOX_LINE}\n`, `#${SYSVINIT_LINE}\nx`, ''],
  words: [...OURS.flatMap((line) => [`${line}\n`, `#${line}\n`, `\n${line}`, `tty1${line}\n`]), 'id:2:initdefault:\n', '\n', '\r\n'],
  check: (input) => {
    const text = input.toString();
    const others = (whole: string): string[] => whole.split('\n').filter((line) => !OURS.includes(line));
    const entered = withLine(text);
    assert.equal(entered.split('\n').some((line) => OURS.includes(line)), true);
    assert.equal(withLine(entered), entered);
    const left = withoutLine(entered);
    // Nobody else's line is touched, but that the last one has an end.
    assert.equal(others(left).join('\n').replace(/\n$/, ''), others(text).join('\n').replace(/\n$/, ''));
    assert.equal(withoutLine(left), left);
    assert.ok(!left.split('\n').some((line) => OURS.includes(line)));
  },
};

export const agentLocalTargets: readonly Target[] = [manifest, control, programs, inittab];
