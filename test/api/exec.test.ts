import assert from 'node:assert/strict';
import { test } from 'node:test';
import { execQuery } from '../../src/api/exec.ts';
import { problemsOf } from '../../src/api/problems.ts';

const DEFAULTS = { uid: 0, env: [], stdin: false, buffered: false, stdio: 'text' };

for (const [what, query, expected] of [
  ['a program alone', { cmd: 'id' }, { ...DEFAULTS, argv: ['id'] }],
  ['one argument', { cmd: 'ls', args: '-l' }, { ...DEFAULTS, argv: ['ls', '-l'] }],
  ['several, blanks and empty ones included', { cmd: 'printf', args: ['%s', 'a b', ''] }, { ...DEFAULTS, argv: ['printf', '%s', 'a b', ''] }],
  ['a shell', { cmd: 'echo', args: ['$HOME', '|', 'cat'], shell: '/bin/sh' }, { ...DEFAULTS, argv: ['/bin/sh', '-c', 'echo $HOME | cat'] }],
  ['an empty shell and directory, as public clients send them', { cmd: 'id', shell: '', cwd: '' }, { ...DEFAULTS, argv: ['id'] }],
  ['an identity', { cmd: 'id', uid: '1000', gid: '4294967294' }, { ...DEFAULTS, argv: ['id'], uid: 1000, gid: 4294967294 }],
  ['the rest', { cmd: 'cat', env: ['A=1', 'B=x=y', 'C='], cwd: '/tmp', stdin: 'true', buffered: 'true', stdio: 'base64' },
    { argv: ['cat'], uid: 0, cwd: '/tmp', env: ['A=1', 'B=x=y', 'C='], stdin: true, buffered: true, stdio: 'base64' }],
] as const) {
  test(`exec takes ${what}`, () => assert.deepEqual(execQuery.parse(query), expected));
}

for (const [what, query, problem] of [
  ['no command', {}, 'invalid_request: cmd is missing'],
  ['an empty command', { cmd: '' }, 'invalid_request: cmd must be a command'],
  ['NUL in an argument', { cmd: 'a', args: ['b\0'] }, 'invalid_request: args must be text without NUL'],
  ['a variable without a name', { cmd: 'a', env: '=x' }, 'invalid_request: env must be NAME=VALUE, without NUL'],
  ['a variable without a value', { cmd: 'a', env: 'PATH' }, 'invalid_request: env must be NAME=VALUE, without NUL'],
  ['the kernel\'s "no id"', { cmd: 'a', uid: '4294967295' }, 'invalid_owner: uid must be a whole number from 0 to 4294967294'],
  ['a user by name', { cmd: 'a', uid: 'root' }, 'invalid_owner: uid must be a whole number from 0 to 4294967294'],
  ['two users', { cmd: 'a', uid: ['0', '1'] }, 'invalid_owner: uid must be a whole number from 0 to 4294967294'],
  ['a flag that is none', { cmd: 'a', stdin: 'yes' }, 'invalid_request: stdin must be true or false'],
  ['an unknown parameter', { cmd: 'a', user: 'x' }, 'invalid_request: unknown field "user"'],
] as const) {
  test(`exec refuses ${what}`, () => {
    const result = execQuery.safeParse(query);
    assert.ok(!result.success);
    assert.deepEqual(problemsOf(result.error).map(({ code, message }) => `${code}: ${message}`), [problem]);
  });
}
