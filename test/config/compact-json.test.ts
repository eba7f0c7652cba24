import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readCompactJson } from '../../src/config/compact-json.ts';
import { readDocument } from '../../src/config/yaml-document.ts';

test('what a program wrote is the same data whether it is read as JSON or as YAML', () => {
  fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
    const text = JSON.stringify(value);
    const compact = readCompactJson(text);
    if (compact === undefined) return;
    assert.deepEqual(compact.data, readDocument(text).data);
  }));
});

test('most of what programs write is taken', () => {
  for (const text of ['{}', '{"a":[1,2.5,null,true],"b":{"c":"ä\\n"}}\n', '"x"', '[]']) assert.deepEqual(readCompactJson(text), { data: JSON.parse(text) });
});

test('what JSON would take apart otherwise than it was meant is left to the reader that knows places', () => {
  for (const text of ['{"a":1,"a":2}', '{"a":12345678901234567890}', '{"a":1e999}', '{"a": 1}', '{"2":1,"1":2}', '{"a":1', '', 'a: 1', '{"__proto__":1,"__proto__":2}', '{"a":{"__proto__":1}}', '{}\r', '{}\r\n', '{} ']) {
    assert.equal(readCompactJson(text), undefined, text);
  }
});
