// Each promise of docs/operations.md and docs/security.md has a test that carries its name: the table at the end of
// each says which. A promise that the document no longer makes, or a test that is no longer there, fails here.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const CHECKOUT = join(import.meta.dirname, '../..');
const TITLE = '\n## What shows it\n';

/** As people read it. */
const plain = (markdown: string): string => markdown.replaceAll(/\*\*|`/g, '').replaceAll(/\s+/g, ' ');

/** The names of a file's tests, as they stand in its source. */
function namesIn(file: string): readonly string[] {
  const source = readFileSync(join(CHECKOUT, file), 'utf8');
  return [...source.matchAll(/\btest\((['"`])((?:\\.|(?!\1)[^])*)\1/g)].map(([, , name]) => (name as string).replaceAll(/\\(.)/g, '$1'));
}

for (const document of ['docs/operations.md', 'docs/security.md']) {
  const [text, table] = readFileSync(join(CHECKOUT, document), 'utf8').split(TITLE);
  const rows = (table ?? '').split('\n').filter((line) => line.startsWith('| ')).slice(2)
    .map((line) => line.slice(2, -2).split(' | ') as [promise: string, file: string, name: string]);

  test(`what the table says is shown is what ${document} promises`, () => {
    assert.ok(rows.length > 20);
    const whole = plain(text as string);
    assert.deepEqual(rows.map(([promise]) => plain(promise)).filter((promise) => !whole.includes(promise)), []);
  });

  test(`each test that ${document} names is there`, () => {
    const missing = rows.filter(([, file, name]) => {
      const path = `test/${file.replaceAll('`', '')}.test.ts`;
      return !existsSync(join(CHECKOUT, path)) || !namesIn(path).includes(name);
    });
    assert.deepEqual(missing, []);
  });

  test(`every part of ${document} that promises something has its tests`, () => {
    const parts = (text as string).split(/\n## /).slice(1);
    const without = parts.filter((part) => !rows.some(([promise]) => plain(part).includes(plain(promise)))).map((part) => part.split('\n')[0]);
    assert.deepEqual(without, []);
  });
}
