import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../src/config/load.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

const parse = (rest: string) => parseConfig(`config:\n  host_groups:\n    - name: web\n      ram_gb: 1\n${rest}`, { file: 'slicer.yaml', directory: '/srv' });

function problems(rest: string): string[] {
  try {
    parse(rest);
  } catch (error) {
    if (error instanceof SlicerError) return error.problems.map(({ message }) => message.replace(/^slicer\.yaml:\d+:\d+: /, ''));
    throw error;
  }
  return [];
}

test('sockets and tokens have a role each, and paths from the directory', () => {
  const { api } = parse(`  api:
    port: 9000
    bind_address: ./slicer.sock
    sockets:
      - path: ./read.sock
        group: monitoring
        role: read
      - path: /run/slicer/ops.sock
        role: admin
    tokens:
      - name: ci
        token_file: ./ci.token
        role: admin
`);
  assert.deepEqual(api.sockets, [
    { path: '/srv/read.sock', group: 'monitoring', role: 'read' }, { path: '/run/slicer/ops.sock', group: undefined, role: 'admin' },
  ]);
  assert.deepEqual(api.tokens, [{ name: 'ci', tokenFile: '/srv/ci.token', role: 'admin' }]);
});

const refused: readonly [string, string, RegExp][] = [
  ['a role that is none', '  api:\n    sockets:\n      - path: ./a.sock\n        role: write\n', /sockets\[0\]\.role: expected one of admin, read/],
  ['a socket without a role', '  api:\n    sockets:\n      - path: ./a.sock\n', /sockets\[0\]\.role: is missing/],
  ['a socket at the place of another', '  api:\n    sockets:\n      - path: slicer.sock\n        role: read\n', /sockets\[0\]\.path: expected a socket of its own, got one that is there already: \/srv\/slicer\.sock/],
  ['a mistyped key of a socket', '  api:\n    sockets:\n      - path: ./a.sock\n        role: read\n        grup: x\n', /is no key of a socket; did you mean "group"/],
  ['tokens without TCP', '  api:\n    tokens:\n      - name: ci\n        token_file: ./t\n        role: read\n', /tokens: are for TCP/],
  ['tokens where none is asked for', '  api:\n    port: 1\n    auth:\n      enabled: false\n    tokens:\n      - name: ci\n        token_file: ./t\n        role: read\n', /tokens: are not asked for/],
  ['a token that is called as another actor', '  api:\n    port: 1\n    tokens:\n      - name: daemon\n        token_file: ./t\n        role: read\n', /"daemon" is who acts otherwise in the audit log/],
  ['two tokens of one name', '  api:\n    port: 1\n    tokens:\n      - name: a\n        token_file: ./t\n        role: read\n      - name: a\n        token_file: ./u\n        role: read\n', /tokens\[1\]\.name: expected a name of its own/],
  ['two tokens in one file', '  api:\n    port: 1\n    tokens:\n      - name: a\n        token_file: ./t\n        role: read\n      - name: b\n        token_file: t\n        role: admin\n', /tokens\[1\]\.token_file: expected a file of its own/],
  ['a token in the file of the main one', '  api:\n    port: 1\n    tokens:\n      - name: a\n        token_file: /var/lib/slicer/auth/token\n        role: read\n', /tokens\[0\]\.token_file: expected a file of its own/],
  ['a size of the audit log that is too small', '  audit:\n    max_size: 1KiB\n', /audit\.max_size: expected a number of bytes, or a size as 64MiB/],
  ['a mistyped key of the audit log', '  audit:\n    maxsize: 64MiB\n', /is no key of config\.audit; did you mean "max_size"/],
];
for (const [what, rest, message] of refused) {
  test(`${what} is refused`, () => {
    const found = problems(rest);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] as string, message);
  });
}

test('the size of the audit log is a number of bytes or a text with a unit', () => {
  for (const [text, bytes] of [['1048576', 2 ** 20], ['1MiB', 2 ** 20], ['"100 KiB"', 102_400], ['2GiB', 2 ** 31]] as const) {
    assert.deepEqual(parse(`  audit:\n    path: /var/log/slicer/audit.log\n    max_size: ${text}\n    keep: 0\n`).audit, { path: '/var/log/slicer/audit.log', maxBytes: bytes, keep: 0 });
  }
});
