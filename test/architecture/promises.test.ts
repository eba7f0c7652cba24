// Each promise of docs/operations.md has a test that carries its name: the table at its end says which. A promise
// that the document no longer makes, or a test that is no longer there, fails here.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const CHECKOUT = join(import.meta.dirname, '../..');
const TITLE = '\n## What shows it\n';

const [text, table] = readFileSync(join(CHECKOUT, 'docs/operations.md'), 'utf8').split(TITLE);
const rows = (table ?? '').split('\n').filter((line) => line.startsWith('| ')).slice(2)
  .map((line) => line.slice(2, -2).split(' | ') as [promise: string, file: string, name: string]);

/** As people read it. */
const plain = (markdown: string): string => markdown.replaceAll(/\*\*|`/g, '').replaceAll(/\s+/g, ' ');

/** The names of a file's tests, as they stand in its source. */
function namesIn(file: string): readonly string[] {
  const source = readFileSync(join(CHECKOUT, file), 'utf8');
  return [...source.matchAll(/\btest\((['"`])((?:\\.|(?!\1)[^])*)\1/g)].map(([, , name]) => (name as string).replaceAll(/\\(.)/g, '$1'));
}

test('what the table says is shown is what docs/operations.md promises', () => {
  assert.ok(rows.length > 20);
  const document = plain(text as string);
  assert.deepEqual(rows.map(([promise]) => plain(promise)).filter((promise) => !document.includes(promise)), []);
});

test('each test that docs/operations.md names is there', () => {
  const missing = rows.filter(([, file, name]) => {
    const path = `test/${file.replaceAll('`', '')}.test.ts`;
    return !existsSync(join(CHECKOUT, path)) || !namesIn(path).includes(name);
  });
  assert.deepEqual(missing, []);
});

test('every part of docs/operations.md that promises something has its tests', () => {
  const parts = (text as string).split(/\n## /).slice(1);
  const without = parts.filter((part) => !rows.some(([promise]) => plain(part).includes(plain(promise)))).map((part) => part.split('\n')[0]);
  assert.deepEqual(without, []);
});
