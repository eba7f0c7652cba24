import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromErrorBody, toErrorBody } from '../../src/api/error-body.ts';
import { errorBody } from '../../src/api/error-schema.ts';
import { CATALOGUE, type ErrorCode } from '../../src/errors/catalogue.ts';
import { fail, type Problem, SlicerError } from '../../src/errors/slicer-error.ts';

const problem: fc.Arbitrary<Problem> = fc.record(
  { code: fc.constantFrom(...(Object.keys(CATALOGUE) as ErrorCode[])), message: fc.string(), hint: fc.string() },
  { requiredKeys: ['code', 'message'] },
);

test('an error comes back from its body with every problem, and the body is what the schema says', () => {
  fc.assert(fc.property(fc.array(problem, { minLength: 1, maxLength: 4 }), (problems) => {
    const body: unknown = JSON.parse(JSON.stringify(toErrorBody(new SlicerError(problems as [Problem, ...Problem[]]))));
    assert.doesNotThrow(() => errorBody.parse(body));
    assert.deepEqual(fromErrorBody(body)?.problems, JSON.parse(JSON.stringify(problems)));
  }));
});

test('one problem is error, code and hint', () => {
  assert.deepEqual(toErrorBody(fail('secret_not_found', 'there is no secret "a"', 'slicer secret list')), {
    error: 'there is no secret "a"', code: 'secret_not_found', hint: 'slicer secret list',
  });
});

for (const body of [undefined, null, 'text', [], {}, { error: 'x' }, { code: 'internal' }, { error: 'x', code: 'nobody_knows' }, { error: 1, code: 'internal' }]) {
  test(`${JSON.stringify(body)} is no error of Slicer's`, () => assert.equal(fromErrorBody(body), undefined));
}

test('problems that are not understood do not hide the error', () => {
  assert.equal(fromErrorBody({ error: 'x', code: 'internal', problems: [{ code: 'new_code', message: 'y' }] })?.message, 'x');
});
