import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentialNameProblems, reservedPattern, RESERVED_CREDENTIALS } from '../../src/delivery/credential.ts';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { isCredentialName } from '../../src/wire/credential-name.ts';

const secret = parseSecretName('api-key') as SecretName;
const problemsOf = (name: string, allowReserved = false): string[] =>
  credentialNameProblems([{ name, secret, allowReserved }]).map(({ message }) => message);

test('a name is what systemd takes: one below, at and one above each limit', () => {
  for (const name of ['a', 'x'.repeat(254), 'x'.repeat(255), '...', '.a', 'API_KEY', 'a b', '~', ' ', 'a,b', 'a"b', '[x]']) assert.ok(isCredentialName(name), name);
  for (const name of ['', '.', '..', 'x'.repeat(256), 'a/b', 'a:b', 'a=b', 'a\0b', 'a\nb', 'a\n', '\x1f', '\x7f', 'ä', 'ä'.repeat(127), '😀']) {
    assert.ok(!isCredentialName(name), JSON.stringify(name));
  }
});

test('a name that systemd does not take is told by its secret and its length, and never shown', () => {
  const canary = 'canary/of/a/value';
  assert.deepEqual(problemsOf(canary), [
    'the name of 17 bytes that secret "api-key" is to have as a credential must be '
      + 'a file name of 1 to 255 printable ASCII characters without ":" and "="',
  ]);
});

const RESERVED = [
  'passwd.*', 'ssh.*', 'systemd.*', 'tmpfiles.*', 'sysusers.*', 'sysctl.*', 'udev.*', 'fstab.extra', 'network.*', 'home.*', 'userdb.*', 'import.*',
  'cryptsetup.*', 'firstboot.*', 'system.*', 'getty.*', 'journal.*', 'login.*', 'shell.*', 'vconsole.*', 'vmm.notify_socket', 'agetty.*',
];

test('every reserved name is one', () => {
  assert.deepEqual([...RESERVED_CREDENTIALS].sort(), [...RESERVED].sort());
});

for (const pattern of RESERVED) {
  test(`${pattern} is refused unless it is said to be meant`, () => {
    const word = pattern.replace(/\.?\*$/, '');
    const reserved = pattern.endsWith('*') ? [`${word}.`, `${word}.extra`, `${word}.a.b-c`] : [pattern];
    for (const name of reserved) {
      assert.equal(reservedPattern(name), pattern);
      assert.deepEqual(problemsOf(name), [`credential "${name}" is one of ${pattern}, which systemd acts on by itself: who sends it is root in the guest`]);
      assert.deepEqual(problemsOf(name, true), []);
    }
    const free = pattern.endsWith('*') ? [word, `${word}x`, `my.${word}.extra`, `${word}-extra`, `${word.toUpperCase()}.EXTRA`] : [`${pattern}x`, `x${pattern}`, pattern.toUpperCase()];
    for (const name of free) assert.deepEqual(problemsOf(name), [], name);
  });
}

test("the names of what Slicer sends itself are its own, whatever is allowed", () => {
  for (const allowed of [false, true]) {
    for (const own of ['slicer.boot-token', 'slicer.host-port']) assert.deepEqual(problemsOf(own, allowed), [`credential "${own}" is Slicer's own`]);
  }
  assert.deepEqual([problemsOf('slicer.boot-token2'), problemsOf('slicer.host-port-'), problemsOf('slicer.')], [[], [], []]);
});

test('a name that is there twice is told with both secrets; the same secret may have two names', () => {
  const other = parseSecretName('other') as SecretName;
  const wishes = [['A', secret], ['B', secret], ['A', other], ['a', other]] as const;
  const problems = credentialNameProblems(wishes.map(([name, from]) => ({ name, secret: from, allowReserved: false })));
  assert.deepEqual(problems.map(({ index, message }) => [index, message]), [
    [2, 'credential "A" is there twice, for secrets "api-key" and "other"; systemd takes the first and drops the other in silence'],
  ]);
});
