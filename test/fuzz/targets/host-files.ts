// Tables of the kernel's about processes, sockets and taps, and small files that Slicer, or its user, keeps.
import assert from 'node:assert/strict';
import { chooseConnection, tokenIn as clientTokenIn } from '../../../src/client/discovery.ts';
import { trustedOwners } from '../../../src/client/socket-owner.ts';
import { groupIn } from '../../../src/config/group-id.ts';
import { holderIn } from '../../../src/daemon/lock.ts';
import { openFilesIn } from '../../../src/daemon/process-metrics.ts';
import { carriesToken, tokenIn } from '../../../src/daemon/token.ts';
import { isId } from '../../../src/secret/file-attributes.ts';
import { parseSecretName } from '../../../src/secret/name.ts';
import { printsIn } from '../../../src/store/known-files.ts';
import { bootTokenIn } from '../../../src/vm/guest-material.ts';
import { isClosedOnExec } from '../../../src/vm/inherited-descriptors.ts';
import { startTimeIn } from '../../../src/vm/process-table.ts';
import { usersIn } from '../../../src/vm/stale-claims.ts';
import { isListening } from '../../../src/vm/start.ts';
import { tapId } from '../../../src/vm/vm-user.ts';
import type { Target } from '../engine.ts';
import { assertNoCanary, CANARY, isRefusal, unless } from '../expectations.ts';

const isOptional = (value: number | undefined, is: (value: number) => boolean): boolean => value === undefined || is(value);

const STAT = 'S 1 7 7 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 12345 1000 50 18446744073709551615 1 1 0';
const SOCKET = '/run/slicer-0/0123abcd/web-1/vhost.sock';
const LINE = `0000000000000000: 00000002 00000000 00010000 0001 01 25581 ${SOCKET}`;

const tables: Target = {
  name: 'proc',
  of: 'src/vm/process-table.ts, stale-claims.ts, inherited-descriptors.ts, start.ts, src/daemon/process-metrics.ts: files of /proc',
  corpus: [
    `42 (qemu) ${STAT}\n`, `42 (a) Z (b) ${STAT}\n`, 'Name:\tqemu\nUmask:\t0022\nUid:\t1000\t1000\t1000\t1000\nGid:\t0\t0\t0\t0\n', 'pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t9\n',
    `Num       RefCount Protocol Flags    Type St Inode Path\n${LINE}\n${LINE.replace('00010000', '00000000')}\n`, 'Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 1048576              files     \n',
  ],
  words: [') Z ', ') S ', '(', 'Uid:\t0\n', 'flags:\t02000000\n', 'Max open files            unlimited            ', ` ${SOCKET}\n`, ' 00010000 ', '00000002 00000000 '],
  maxBytes: 1500,
  check: (input) => {
    const text = input.toString('latin1');
    assert.ok(isOptional(startTimeIn(text), (time) => Number.isSafeInteger(time) && time >= 0), 'a time that is none');
    // A process gives itself any name; the kernel puts it where it belongs.
    const name = text.slice(0, 15);
    assert.equal(startTimeIn(`42 (${name}) ${STAT}\n`), 12345);
    assert.equal(startTimeIn(`42 (${name}) ${STAT.replace('S', 'Z')}\n`), undefined);
    const told = name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    assert.deepEqual(usersIn(`Name:\t${told}\nUmask:\t0022\nUid:\t1\t2\t3\t4\n${text}`), ['1', '2', '3', '4']);
    for (const user of usersIn(text)) assert.match(user, /^[0-9]*$/);
    assert.equal(isClosedOnExec(`pos:\t0\nflags:\t02100002\n${text}`), true);
    assert.equal(isClosedOnExec(`pos:\t0\nflags:\t0100002\n${text}`), false);
    assert.equal(typeof isClosedOnExec(text), 'boolean');
    if (isListening(text, SOCKET)) assert.ok(text.includes(` ${SOCKET}`) && text.includes('00010000'));
    assert.equal(isListening(`${LINE}\n`, SOCKET), true);
    assert.equal(isListening(`${LINE.replace('00010000', '00000000')}\n${LINE}x\n`, SOCKET), false);
    const files = openFilesIn(text);
    assert.ok(files === Infinity || (Number.isSafeInteger(files) && files >= 0), `${files} files`);
  },
};

const TOKEN = `${CANARY}-0123456789`;
const LONG = `${'nonsense-'.repeat(3)}${CANARY}`;

const kept: Target = {
  name: 'small-files',
  of: 'src/daemon/token.ts, lock.ts, src/config/group-id.ts, src/client/discovery.ts, src/vm/vm-user.ts, guest-material.ts: tokens, ids and names of one word',
  corpus: [
    `${TOKEN}\n`, `  ${LONG}  `, '4242\n', '1000', '-1\n', '4294967294\n', '7b'.repeat(32), 'slicer:x:990:op\nop:x:1000:\n', 'op:x::\n', 'op\n', 'http://[::1]:8080', './slicer.sock',
  ],
  words: ['op:x:', 'op:', '4294967295', '4294967296', '-1', '\n', '\r\n', '\u00a0', '\u2028', TOKEN],
  maxBytes: 600,
  check: (input, random) => {
    const text = random.once(2) ? input.toString() : input.toString('latin1');
    const refusal = isRefusal('usage');
    const said = (error: unknown): boolean => {
      if (refusal(error)) assertNoCanary((error as Error).message);
      return refusal(error);
    };
    const [token, sent] = [tokenIn(text), unless(said, () => clientTokenIn(text, '/x'))];
    // What the daemon takes for a token, its client sends, and the daemon knows it.
    if (token !== undefined) assert.ok(token === sent && token.length >= 16 && /^[\x21-\x7e]+$/.test(token) && carriesToken(`Bearer ${sent}`, token));
    const spoilt = text.trim();
    if (token !== undefined && spoilt !== TOKEN) assert.ok(!carriesToken(`Bearer ${TOKEN}`, token));
    const env = { SLICER_TOKEN: text, SUDO_UID: text, HOME: '/root', SLICER_URL: random.once(2) ? 'http://127.0.0.1:1' : '' };
    const connection = unless(said, () => chooseConnection({}, env));
    if (connection !== undefined && text !== '') assert.equal(connection.token, text);
    for (const owner of trustedOwners(env)) assert.ok(Number.isSafeInteger(owner) && owner >= 0);
    assert.ok(isOptional(holderIn(text), (pid) => Number.isSafeInteger(pid) && pid > 1));
    for (const group of ['op', text.trim()]) assert.ok(isOptional(groupIn(group, text), isId), `group ${groupIn(group, text)}`);
    assert.equal(groupIn('op', `root:x:0:\nx${text.replaceAll('\n', '')}:x:1:\nop:x:1000:x\n`), 1000);
    const missing = isRefusal('missing_part');
    const owner = unless(missing, () => ({ id: tapId('tap0', text) }));
    assert.ok(owner === undefined || (owner.id === undefined ? text.trim() === '-1' : isId(owner.id) && /^[0-9]+$/.test(text.trim())));
    const boot = unless(isRefusal('internal'), () => bootTokenIn(input));
    assert.ok(boot === undefined || /^[0-9a-f]{64}$/.test(input.toString('latin1')));
  },
};

const KNOWN = 'api-key 1 2 -3 4 5 6\ndb 12345678 5 1700000000000000000 33152 0 0\nold\nx 1 1 1 1 1 1\nx\n';

const knownFiles: Target = {
  name: 'known-files',
  of: 'src/store/known-files.ts: what the process before knew of the store',
  corpus: [KNOWN, 'api-key 1 2 3 4 5 6\napi-key\n', ''],
  words: [' 1 2 3 4 5 6\n', 'api-key', '.hidden 1 2 3 4 5 6\n', '../x 1 2 3 4 5 6\n', '\n', ' ', '-'],
  check: (input, random) => {
    const text = input.toString('latin1');
    const prints = printsIn(text);
    for (const [name, print] of prints) {
      assert.ok(parseSecretName(name) !== undefined, name);
      assert.match(print, /^[0-9]+( -?[0-9]+){5}$/);
    }
    // Written down, it is the same.
    assert.deepEqual(printsIn([...prints].map(([name, print]) => `${name} ${print}\n`).join('')), prints);
    // A line that is cut short says nothing, and takes nothing back.
    const cut = text.slice(0, random.below(text.length + 1));
    assert.deepEqual(printsIn(cut), printsIn(cut.slice(0, cut.lastIndexOf('\n') + 1)));
    // Whatever stands before it, a whole line counts.
    const whole = text === '' || text.endsWith('\n') ? text : `${text}\n`;
    assert.equal(printsIn(`${whole}api-key 7 7 7 7 7 7\n`).get('api-key' as never), '7 7 7 7 7 7');
    assert.equal(printsIn(`${whole}api-key\n`).get('api-key' as never), undefined);
  },
};

export const hostFileTargets: readonly Target[] = [tables, kept, knownFiles];
