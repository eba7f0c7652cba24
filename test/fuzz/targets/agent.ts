// The agent's own parsers, under Node: its archive writer over directories in memory, what the host's
// connections bring it, and the words, tables and files that it reads. Its C code is in agent-sys.ts.
import assert from 'node:assert/strict';
import { MessageReader, statusOf } from '../../../src/wire/http.ts';
import { isCredentialName } from '../../../src/wire/credential-name.ts';
import { isId } from '../../../src/secret/file-attributes.ts';
import { isFault, load, type Fault } from '../agent-modules.ts';
import { isSecretName, placesInMemory, SecretsWriter } from '../agent-places.ts';
import type { Target } from '../engine.ts';
import { pieces, unless } from '../expectations.ts';
import * as os from '../quickjs/os.ts';
import * as std from '../quickjs/std.ts';
import * as sys from '../quickjs/sys.ts';
import { TAR_CORPUS } from './wire.ts';

const archive: Target = {
  name: 'agent-archive',
  of: 'agent/secrets-writer.ts, place-writer.ts: archives on their way into the guest\'s directories',
  corpus: TAR_CORPUS,
  words: ['ustar', '.wh.', '.cred.', '../', '/etc/passwd', '20 path='],
  maxBytes: 8192,
  check: (spoilt, random) => {
    const places = placesInMemory();
    const [secrets, credentials] = [places.secrets, places.credentials()];
    places.opened.pop();
    const inputs = [TAR_CORPUS[random.below(TAR_CORPUS.length)] as Buffer, spoilt];
    for (const input of inputs) {
      const before = [secrets, credentials].map(({ directory }) => sys.contents(directory.fd));
      const writer = new SecretsWriter(places, random.once(2) ? 'full' : 'delta');
      const done = unless(isFault, () => {
        for (const piece of pieces(random, input)) writer.push(piece);
        return writer.commit();
      });
      if (done === undefined) {
        writer.abort();
        // A refused archive changes nothing: here nothing fails after the check.
        assert.deepEqual([secrets, credentials].map(({ directory }) => sys.contents(directory.fd)), before);
      }
      for (const [name] of sys.contents(secrets.directory.fd)) assert.ok(isSecretName(name), name);
      for (const [name, file] of sys.contents(credentials.directory.fd)) {
        assert.ok(isCredentialName(name), name);
        assert.ok(file.startsWith('256 0 0 '), 'a credential that is not root\'s alone');
      }
    }
    assert.deepEqual(sys.takeFindings(), []);
    sys.forget();
  },
};

interface SessionModule {
  readonly Session: new (token: string) => { lose(): void; readonly established: boolean };
}

const { Session } = await load<SessionModule>('session');
const { serveHostCalls } = await load<{ serveHostCalls(options: object): void }>('host-calls');

const request = (line: string, body: string, ...headers: string[]): string => [`${line} HTTP/1.1`, `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n');
const HEX = '3d'.repeat(32);
const STATUSES: ReadonlySet<number> = new Set([200, 204, 400, 401, 404, 409]);

/** Listeners have numbers below 0 here. */
let lastListener = 0;

const calls: Target = {
  name: 'agent-calls',
  of: 'agent/host-calls.ts, session.ts: connections to the agent\'s port',
  corpus: [
    request('POST /v1/challenge', JSON.stringify({ purpose: 'session', nonce: HEX })), request('POST /v1/challenge', JSON.stringify({ purpose: 'call', nonce: HEX })),
    request('PUT /v1/session', JSON.stringify({ proof: HEX, share: HEX })), request('GET /v1/health', '', `Authorization: Slicer-Proof ${HEX}`),
    request('POST /v1/challenge', JSON.stringify({ purpose: 'session', nonce: HEX })) + request('PUT /v1/session', JSON.stringify({ proof: HEX, share: HEX })),
    request('POST /v1/exec', JSON.stringify({ argv: ['id'], uid: 0, env: [], stdin: false }), `Authorization: Slicer-Proof ${HEX}`),
  ],
  words: ['null', '"session"', '"call"', HEX, 'Slicer-Proof ', 'Content-Length: 300000', 'CONNECT 900\n', '\r\n\r\n', '/v1/exec'],
  check: (input, random) => {
    const session = new Session('ab'.repeat(32));
    session.lose();
    const listener = (lastListener -= 1);
    const faults: Fault[] = [];
    serveHostCalls({
      session, health: () => ({}), onFault: (fault: Fault) => void faults.push(fault),
      transport: { listen: () => listener, isHost: () => true, asksForPort: random.once(4) },
    });
    const peer = sys.dial(pieces(random, input));
    os.knock(listener);
    os.readAll();
    os.setReadHandler(listener, null);
    assert.ok(peer.closed && faults.every(isFault) && !session.established);
    const answers = Buffer.concat(peer.received);
    const preamble = /^OK \d+\n/.exec(answers.toString('latin1'))?.[0].length ?? 0;
    new MessageReader({ onHead: (head) => assert.ok(STATUSES.has(statusOf(head))), onBody: () => undefined, onEnd: () => undefined }).push(answers.subarray(preamble));
    assert.ok(answers.length < 40 * (input.length + 10));
  },
};

const { parseCommandLine, pathOption } = await load<{ parseCommandLine(args: readonly string[]): object; pathOption(line: object, name: string): string | undefined }>('command-line');
const { Diagnostics } = await load<{ Diagnostics: new (write: (text: Uint8Array) => void) => { push(chunk: Uint8Array): void; end(): void } }>('diagnostics');
const { accountOf } = await load<{ accountOf(uid: number, gid: number | undefined): { gid: number; groups: number[] } }>('accounts');
const { findBootToken, findHostPort } = await load<{ findBootToken(): string; findHostPort(): number }>('system-credential');

const { interpreterOf } = await load<{ interpreterOf(script: Uint8Array): string[] }>('userdata');

const TOKEN = Buffer.from(HEX).toString('base64');

const words: Target = {
  name: 'agent-files',
  of: 'agent/command-line.ts, accounts.ts, system-credential.ts, userdata.ts: words, /etc/passwd, firmware tables, first lines of scripts',
  corpus: [
    'secrets\nsync\n--dir=/run/x\n--verbose', 'root:x:0:0:root:/root:/bin/sh\nop:x:1000:1000::/home/op:\n', 'adm:x:4:op,root\nop:x:1000:\n', '#!/usr/bin/env -S sh -x\ntrue\n',
    Buffer.concat([Buffer.from([11, 5, 0, 1, 2]), Buffer.from(`io.systemd.credential.binary:slicer.boot-token=${TOKEN}\0io.systemd.credential.binary:slicer.host-port=NTAw\0\0`)]),
  ],
  words: ['--cid', '--port', '=', '/', ':', '\0', 'io.systemd.credential.binary:slicer.boot-token=', TOKEN, '1000', 'op'],
  check: (input) => {
    const line = unless(isFault, () => parseCommandLine(input.toString().split('\n')));
    if (line !== undefined) {
      const path = unless(isFault, () => pathOption(line, '--dir'));
      assert.ok(path === undefined || (path.startsWith('/') && !path.endsWith('/')));
    }
    const [program = '', ...rest] = interpreterOf(input);
    assert.ok(program !== '' && rest.length <= 1 && !/[\n \t]/.test(program) && !/\n/.test(rest.join('')));
    std.put('/etc/passwd', input);
    std.put('/etc/group', input);
    for (const uid of [0, 1000, 4294967294]) {
      const { gid, groups } = accountOf(uid, undefined);
      for (const group of [gid, ...groups]) assert.ok(isId(group), `group ${group}`);
    }
    std.put('/sys/firmware/dmi/entries/11-0/raw', input);
    assert.match(findBootToken(), /^([0-9a-f]{64})?$/);
    const port = findHostPort();
    assert.ok(Number.isInteger(port) && port >= 1 && port <= 1023);
  },
};

const diagnostics: Target = {
  name: 'agent-diagnostics',
  of: 'agent/diagnostics.ts: what a VMM writes to stderr, on its way to the console\'s log',
  corpus: [`InvalidSyntax("io.systemd.credential.binary:x=${TOKEN}")\n`, `${TOKEN}\r\nqemu: warning\n`, `${'y'.repeat(4090)}${TOKEN}\n`],
  words: ['io.systemd.credential', TOKEN, '\n'],
  maxBytes: 9000,
  check: (input, random) => {
    const read = (chunks: readonly Buffer[]): string => {
      const written: Uint8Array[] = [];
      const filter = new Diagnostics((text) => void written.push(text));
      for (const chunk of chunks) filter.push(chunk);
      filter.end();
      return Buffer.concat(written).toString('latin1');
    };
    const shown = read([input]);
    assert.equal(read(pieces(random, input)), shown);
    assert.doesNotMatch(shown, /[^\t\n\x20-\x7e]|[A-Za-z0-9+/]{32,}|io\.systemd\.credential/);
    assert.ok(shown.length <= input.length + 20 * (shown.split('\n').length + shown.split('[').length));
  },
};

export const agentTargets: readonly Target[] = [archive, calls, words, diagnostics];
