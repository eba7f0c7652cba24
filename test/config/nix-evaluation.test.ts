// What Nix says, as 2.8 and as newer versions put it, and Nix itself where it is installed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { evaluateNix, nixComplaint } from '../../src/config/nix-evaluation.ts';

const CANARY = 'canary-41d7';
const directory = mkdtempSync(join(tmpdir(), 'slicer-nix-'));
const programs = join(directory, 'bin');
after(() => rmSync(directory, { recursive: true }));

const COMPLAINTS: readonly (readonly [string, string, string | undefined])[] = [
  [`error: syntax error, unexpected '}', expecting ';'\n\n       at /i.nix:5:2:\n\n            4|   b = "${CANARY}"\n            5|  };}\n             |  ^\n`,
    'syntax error, unexpected \'}\', expecting \';\'', '/i.nix:5:2'],
  [`error: undefined variable 'x'\n\n       at /i.nix:2:7:\n\n            2|   a = x; secret = "${CANARY}";\n             |       ^\n`, 'undefined variable \'x\'', '/i.nix:2:7'],
  [`error:\n       … while evaluating the attribute 'a'\n         at /i.nix:2:3:\n            1| {\n            2|   a = "${CANARY}" + 1;\n             |   ^\n\n       error: cannot coerce an integer to a string: ${CANARY}\n       at /i.nix:2:17:\n            2|   a\n`,
    'cannot coerce an integer to a string', '/i.nix:2:17'],
  [`error:\n       … while selecting an attribute\n         at /i.nix:1:11:\n            1| { f = x.foo; }\n\n       error: expected a set but found a string: "${CANARY}"\n`, 'expected a set but found a string', '/i.nix:1:11'],
  [`error: assertion '(${CANARY} == "y")' failed\n\n       at /i.nix:2:7:\n`, 'an assertion failed', '/i.nix:2:7'],
  [`error: integer '${CANARY}' is not equal to integer '5'\n       at /i.nix:2:7:\n`, 'an assertion failed', '/i.nix:2:7'],
  [`error: attempt to call something which is not a function but a set: { a = ${CANARY}; }\n       at /i.nix:1:7:\n`, 'attempt to call something which is not a function but a set', '/i.nix:1:7'],
  [`error: [json.exception.parse_error.101] parse error at line 1, column 1: invalid literal; last read: '${CANARY}'\n`,
    '[json.exception.parse_error.101] parse error at line 1, column 1: invalid literal', undefined],
  ['\u001b[31;1merror:\u001b[0m attribute \'b\' missing\n', 'attribute \'b\' missing', undefined],
  ['', 'it does not evaluate', undefined],
];

for (const [stderr, message, place] of COMPLAINTS) {
  test(`of Nix's complaint "${message}" nothing is told but the fact and its place`, () => {
    assert.deepEqual(nixComplaint(stderr), place === undefined ? { message } : { message, place });
  });
}

const evaluate = (text: string, env: NodeJS.ProcessEnv = process.env, limitMs?: number): Promise<unknown> => {
  const path = join(directory, 'i.nix');
  writeFileSync(path, text);
  return evaluateNix({ file: 'i.nix', path, env, ...(limitMs === undefined ? {} : { limitMs }) });
};

test('without nix-instantiate it is said what to do', async () => {
  await assert.rejects(evaluate('{}', { PATH: '/nonexistent' }), { code: 'missing_part', message: 'i.nix is Nix, and there is no nix-instantiate on the PATH' });
});

before(() => {
  execFileSync('mkdir', [programs]);
  writeFileSync(join(programs, 'nix-instantiate'), '#!/bin/sh\nexec sleep 600\n');
  chmodSync(join(programs, 'nix-instantiate'), 0o755);
});

test('an evaluation that does not end is ended', async () => {
  await assert.rejects(evaluate('{}', { PATH: `${programs}:${process.env['PATH']}` }, 200), { code: 'invalid_config', message: 'i.nix: does not evaluate within 200 ms' });
});

const skip = (() => {
  try {
    execFileSync('nix-instantiate', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'nix-instantiate is not there: apt-get install nix-bin';
  }
})();

const VALUES: readonly (readonly [string, unknown])[] = [
  ['{ a = 1; }', { a: 1 }],
  ['{ inputs }: { a = inputs; }', { a: {} }],
  ['{ inputs, ... }: { a = inputs; }', { a: {} }],
  ['{ inputs ? { x = 1; } }: inputs', {}],
  ['{ ... }: { a = 2; }', { a: 2 }],
  ['inputs: inputs', {}],
];

for (const [text, value] of VALUES) {
  test(`${text} evaluates to data`, { skip }, async () => assert.deepEqual(await evaluate(text), value));
}

const REFUSED: readonly (readonly [string, RegExp])[] = [
  [`{\n  a = "${CANARY}";\n  b = }`, /^i\.nix:3:7: nix: syntax error, unexpected '\}'/],
  [`{ a = "${CANARY}"; b = c; }`, /^i\.nix:1:\d+: nix: undefined variable 'c'/],
  [`{ a = "${CANARY}" + { x = "${CANARY}"; }; }`, /^i\.nix:1:\d+: nix: cannot coerce a set to a string$/],
  [`{ a = ("${CANARY}").b; }`, /^i\.nix:1:\d+: nix: /],
  ['{ lib }: { }', /^i\.nix.*nix: .*required argument 'lib'/],
  ['{ a = x: x; }', /^i\.nix.*nix: cannot convert a function to JSON/],
  ['{ a = throw "not today"; }', /^i\.nix:( |1:7: )nix: not today$/],
];

for (const [text, message] of REFUSED) {
  test(`${text.replaceAll(CANARY, 'value').replaceAll('\n', ' ')} is refused with Nix's own message and the file`, { skip }, async () => {
    await assert.rejects(evaluate(text), (error: unknown) => {
      assert.ok(error instanceof SlicerError && error.code === 'invalid_config');
      assert.match(error.message, message);
      assert.ok(!error.message.includes(CANARY), error.message);
      return true;
    });
  });
}

test('a file that Nix names as a path is not copied into its store', { skip }, async () => {
  writeFileSync(join(directory, 'value'), CANARY);
  const { a } = await evaluate('{ a = ./value; }') as { a: string };
  assert.match(a, /^\/nix\/store\/.*-value$/);
  assert.equal(existsSync(a), false);
});
