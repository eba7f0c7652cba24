// What a user or a client says: requests of the API, flags, addresses, and what a client reads of answers.
import assert from 'node:assert/strict';
import { CommanderError, Command } from 'commander';
import { Readable } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { decodeBase64, encodeBase64 } from '../../../src/api/base64.ts';
import { formatDurationMs, parseDurationMs, DURATION_MAX_MS } from '../../../src/api/duration.ts';
import { fromErrorBody, toErrorBody } from '../../../src/api/error-body.ts';
import { execQuery } from '../../../src/api/exec.ts';
import { attachBody, launchBody, launchQuery, nodesQuery } from '../../../src/api/nodes.ts';
import { problemsOf } from '../../../src/api/problems.ts';
import { createSecretBody, updateSecretBody } from '../../../src/api/secrets.ts';
import { logsQuery } from '../../../src/api/vm.ts';
import { COMMANDS } from '../../../src/cli/command-table.ts';
import type { Context } from '../../../src/cli/context.ts';
import { addCredential } from '../../../src/cli/credential-option.ts';
import { durationMs, ownerId, secretName, wholeNumber } from '../../../src/cli/option-values.ts';
import { usageError } from '../../../src/cli/program.ts';
import { formatAddress, parseAddress } from '../../../src/client/address.ts';
import { execEvents } from '../../../src/client/exec-stream.ts';
import { isLoopback, parseBindAddress } from '../../../src/config/address.ts';
import { credentialNameProblems } from '../../../src/delivery/credential.ts';
import { staticStringProblems } from '../../../src/delivery/static-strings.ts';
import { SlicerError } from '../../../src/errors/slicer-error.ts';
import { makeValue } from '../../../src/generate/value-spec.ts';
import { parseSecretName, type SecretName } from '../../../src/secret/name.ts';
import type { Target } from '../engine.ts';
import { assertNoCanary, CANARY, isRefusal, isSilentRefusal, pieces, unless } from '../expectations.ts';

const VALUE = Buffer.from(CANARY).toString('base64');

const bodies: Target = {
  name: 'api-bodies',
  of: 'src/api: bodies and queries of the REST API',
  corpus: [
    { name: 'api-key', data: CANARY, permissions: '0600', uid: 0, gid: 1000 }, { name: `${CANARY} `, data: VALUE }, { data: '', allow_empty: true, permissions: '640' },
    { cpus: 2, ram_bytes: 134217728, userdata: CANARY, tags: ['a'], secrets: ['api-key', `${CANARY}=`], image: 'tiny', credentials: [{ name: 'X', secret: 'a', deliver: 'both' }], persistent: false },
    { hostname: 'web-1', vsock: '/run/x.vsock', tags: [], secrets: [] }, { cmd: 'ls', args: ['-l', CANARY], uid: '0', env: [`A=${CANARY}`], stdin: 'true', buffered: 'false', stdio: 'base64' },
    { lines: '20' }, { wait: 'agent', timeout: '30s' }, { tag: 'x' },
  ].map((body) => JSON.stringify(body)),
  words: ['name', 'data', 'permissions', 'uid', 'allow_empty', 'credentials', 'secrets', 'cmd', 'args', 'env', 'stdin', 'timeout', 'vsock', '4294967295'],
  json: 'only',
  check: (input) => {
    const body = JSON.parse(input.toString()) as unknown;
    const isKey = /"[^"]*(xq7z|CANARY)[^"]*":/.test(input.toString());
    for (const schema of [createSecretBody, updateSecretBody, launchBody, attachBody, execQuery, logsQuery, launchQuery, nodesQuery]) {
      const { success, data, error } = schema.safeParse(body);
      if (success) {
        // A value that was taken in has no text any more.
        if (schema === createSecretBody) assert.ok(!JSON.stringify((data as { value: unknown }).value).includes(CANARY));
        continue;
      }
      const problems = problemsOf(error);
      assert.ok(problems.length > 0);
      for (const { message, hint = '' } of problems) {
        if (!isKey) assertNoCanary(message + hint);
        assert.ok(message.length < 5000);
      }
    }
  },
};

const numbers: Target = {
  name: 'numbers',
  of: 'src/api/duration.ts, base64.ts, src/cli/option-values.ts, credential-option.ts, src/generate/value-spec.ts: words of the command line',
  corpus: ['30s', '1m30s', '500ms', '1.5h', '0', 'aGVsbG8=', '0600', '4294967294', '65535', 'API=api-key,trimNewline,deliver=both', 'random:32:hex', 'password:24', 'uuid', `${CANARY}=${CANARY} x`],
  words: ['ns', 'us', 'µs', 'ms', 's', 'm', 'h', '.', '=', ',', ':', 'allowEmpty', 'deliver='],
  maxBytes: 200,
  check: (input) => {
    const text = input.toString();
    const duration = parseDurationMs(text);
    if (duration !== undefined) {
      assert.ok(Number.isInteger(duration) && duration >= 0 && duration <= DURATION_MAX_MS);
      assert.equal(parseDurationMs(formatDurationMs(duration)), duration);
    }
    const bytes = decodeBase64(text);
    if (bytes !== undefined) assert.equal(encodeBase64(bytes), text);
    assert.deepEqual(decodeBase64(encodeBase64(input)), input);
    const usage = isSilentRefusal('usage', 'invalid_owner', 'invalid_name');
    for (const read of [wholeNumber('--n', 1, 65535), ownerId('--uid'), durationMs('--wait')]) {
      const number = unless(usage, () => read(text));
      if (number !== undefined) assert.ok(Number.isSafeInteger(number) && number >= 0);
    }
    for (const read of [secretName, addCredential, makeValue]) unless(usage, () => read(text) as unknown);
  },
};

const addresses: Target = {
  name: 'addresses',
  of: 'src/client/address.ts, src/config/address.ts: where a daemon listens',
  corpus: ['http://127.0.0.1:8080', './slicer.sock', 'unix:///run/slicer.sock', '~/x.sock', 'https://[::1]:443/base/', 'localhost', '127.0.0.1:', '[fe80::1]', '0.0.0.0', `http://user:${CANARY}@host`],
  words: ['unix://', 'http://', '.sock', '[::ffff:127.0.0.1]', '%eth0', '@', '?', '#', ':', '/'],
  maxBytes: 200,
  check: (input) => {
    const text = input.toString();
    const address = unless(isSilentRefusal('usage'), () => parseAddress(text, '/home/op'));
    if (address?.kind === 'tcp') {
      assert.ok(address.port >= 0 && address.port <= 65535);
      assert.deepEqual(parseAddress(formatAddress(address), '/home/op'), address);
    }
    const bind = parseBindAddress(text);
    if (bind?.kind === 'ip') {
      assert.deepEqual(parseBindAddress(bind.address), bind);
      assert.equal(typeof isLoopback(bind.address), 'boolean');
    }
  },
};

const LINES = [
  { type: 'started', timestamp: 't', pid: 7 }, { type: 'stdout', stdout: 'hello\n' }, { type: 'stderr', stderr: 'aGk=', encoding: 'base64' }, { type: 'exit', exit_code: 0 },
].map((line) => `${JSON.stringify(line)}\n`);

const answers: Target = {
  name: 'exec-stream',
  of: 'src/client/exec-stream.ts, src/api/error-body.ts: a daemon\'s answers, as a client reads them',
  corpus: [LINES.join(''), `${LINES[0]}${JSON.stringify({ type: 'error', error: 'gone', code: 'agent_unreachable' })}\n`, JSON.stringify(toErrorBody(new SlicerError([{ code: 'usage', message: 'x', hint: 'y' }])))],
  words: ['"type"', '"stdout"', '"exit_code"', '"encoding":"base64"', '\n', '"problems"', '"error"', '"code":"internal"'],
  check: async (input, random) => {
    const response = Readable.from(pieces(random, input), { objectMode: false }) as unknown as IncomingMessage;
    const kinds: string[] = [];
    try {
      for await (const event of execEvents(response)) kinds.push(event.type);
      assert.equal(kinds.at(-1), 'exit');
    } catch (error) {
      if (!(error instanceof SlicerError)) throw error;
    }
    assert.ok(!kinds.slice(0, -1).includes('exit'));
    const body = unless(() => true, () => JSON.parse(input.toString()) as unknown);
    const told = fromErrorBody(body);
    if (told !== undefined) assert.deepEqual(fromErrorBody(toErrorBody(told)), told);
  },
};

const credentials: Target = {
  name: 'credentials',
  of: 'src/delivery/credential.ts, static-strings.ts: names of credentials and OEM strings of an operator',
  corpus: ['API_KEY\napi-key', `io.systemd.credential:ENVIRONMENT=${CANARY}`, `io.systemd.credential.binary:x=${VALUE}\nplain text`, `systemd.unit\n${CANARY}:=`, 'slicer.boot-token', 'a\na'],
  words: ['io.systemd.credential:', '.binary:', '=', 'passwd.', 'slicer.host-port', '\n'],
  maxBytes: 600,
  check: (input) => {
    const lines = input.toString().split('\n');
    const secret = parseSecretName('s') as SecretName;
    const problems = [
      ...credentialNameProblems(lines.map((name) => ({ name, secret, allowReserved: false }))),
      ...staticStringProblems('vm "x"', { hypervisor: 'qemu', machine: 'q35' }, true, lines, ['taken']),
    ];
    for (const { message, hint = '' } of problems) {
      assert.ok(message.length < 800);
      // Names that can be names may be told; what follows one never is.
      assert.doesNotMatch(message + hint, /=[^"]*(xq7z|CANARY)/);
    }
  },
};

const configured = new Map<string, Promise<(words: readonly string[]) => Promise<void>>>();

/** A command as the command line has it, that does nothing. */
function commandLine(index: number): Promise<(words: readonly string[]) => Promise<void>> {
  const { words: [first, second = first], load } = COMMANDS[index] as (typeof COMMANDS)[number];
  return (configured.get(`${index}`) ?? configured.set(`${index}`, load().then(({ configure }) => async (argv) => {
    const context = { argv, env: {}, stdout: process.stdout, stderr: process.stderr, stdin: process.stdin, exitCode: 0 } as unknown as Context;
    const command = new Command(second).exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
    configure(command, context);
    command.action(() => undefined);
    await command.parseAsync([...argv], { from: 'user' });
  })).get(`${index}`)) as Promise<(words: readonly string[]) => Promise<void>>;
}

const flags: Target = {
  name: 'command-line',
  of: 'src/cli: flags and arguments of every command',
  corpus: [
    'web\n--ram-mb=512', `api-key\n--from-literal=${CANARY}\n--permissions=0600\n--uid=0`, `db\n--form-literal=${CANARY}`, 'vm-1\n--uid=1000\n--shell\n--\nls\n-l', '--secret=a,b\n--wait\n--timeout=30s\n--json',
    'slicer.yaml\n--debug', '--url=./slicer.sock\n--token-file=x', `--credential=A=a,trimNewline\n--no-secrets\n-p${CANARY}`, '--lines=0\n--raw\nvm-1',
  ],
  words: ['--', '-h', '--help', '--json', '--secret=', '--no-secrets', '--url', '--', '-', '--cpus=0', '--__proto__', '--no-', `=${CANARY}`],
  maxBytes: 400,
  check: async (input, random) => {
    const argv = input.toString().split('\n').slice(0, 20);
    const run = await commandLine(random.below(COMMANDS.length));
    try {
      await run(argv);
    } catch (error) {
      if (error instanceof CommanderError) {
        const { problems } = usageError(error);
        // A value follows "=" or a letter; what stands alone is a name, of a command or a file.
        for (const { message } of problems) assert.doesNotMatch(message, new RegExp(`=[^"]*${CANARY}|"-[^-"]${CANARY}`));
      } else if (!isRefusal('usage', 'invalid_owner', 'invalid_name', 'invalid_permissions', 'invalid_request', 'empty_value')(error)) throw error;
    }
  },
};

export const userTargets: readonly Target[] = [bodies, numbers, addresses, answers, credentials, flags];
