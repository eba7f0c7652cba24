import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CATALOGUE, EXIT, isErrorCode, type ErrorCode } from '../../src/errors/catalogue.ts';
import { errorLines, fail, SlicerError, throwIfAny } from '../../src/errors/slicer-error.ts';

test('every error has an HTTP status of failure and an exit code of failure', () => {
  const exits: readonly number[] = Object.values(EXIT).filter((exit) => exit !== EXIT.ok);
  for (const [code, { status, exit }] of Object.entries(CATALOGUE)) {
    assert.match(code, /^[a-z]+(_[a-z0-9]+)*$/);
    assert.ok(status >= 400 && status <= 599, code);
    assert.ok(exits.includes(exit), code);
  }
});

test('exit codes leave room for those of a guest\'s command and differ from each other', () => {
  const exits = Object.values(EXIT);
  assert.equal(new Set(exits).size, exits.length);
  assert.ok(exits.every((exit) => exit >= 0 && exit < 64));
});

test('a code is known when the catalogue has it, and not when every object has it', () => {
  for (const code of Object.keys(CATALOGUE)) assert.ok(isErrorCode(code));
  for (const code of ['', 'nope', 'toString', 'constructor', '__proto__', 'hasOwnProperty']) assert.ok(!isErrorCode(code));
});

test('an error with several problems takes status and exit code from the first and tells them all', () => {
  const error = new SlicerError([
    { code: 'secret_not_found', message: 'secret "a" does not exist', hint: 'slicer secret list' },
    { code: 'invalid_name', message: 'secret "b" is no name' },
  ]);
  assert.equal(error.code, 'secret_not_found');
  assert.equal(error.status, 404);
  assert.equal(error.exitCode, EXIT.notFound);
  assert.equal(error.message, 'secret "a" does not exist; secret "b" is no name');
  assert.deepEqual(errorLines(error), [
    'slicer: error: secret "a" does not exist',
    'slicer: hint: slicer secret list',
    'slicer: error: secret "b" is no name',
  ]);
});

test('no problems throw nothing, and any throw all', () => {
  throwIfAny([]);
  const problems = (['usage', 'internal'] as const satisfies ErrorCode[]).map((code) => ({ code, message: code }));
  assert.throws(() => throwIfAny(problems), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.deepEqual(error.problems, problems);
    return true;
  });
});

test('an error without a hint has no hint, not an empty one', () => {
  assert.deepEqual(fail('internal', 'fact').problems, [{ code: 'internal', message: 'fact' }]);
  assert.deepEqual(fail('internal', 'fact', 'step').problems, [{ code: 'internal', message: 'fact', hint: 'step' }]);
});
