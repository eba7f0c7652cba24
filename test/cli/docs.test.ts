// The reference must not fall behind the commands and routes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command } from 'commander';
import { routes } from '../../src/api/routes.ts';
import { COMMANDS } from '../../src/cli/command-table.ts';
import type { Context } from '../../src/cli/context.ts';

const read = (file: string): string => readFileSync(join(import.meta.dirname, '../../docs', file), 'utf8');
const cli = read('cli.md');
const api = read('api.md');
const named = new Set([...cli.matchAll(/--[a-z][a-z-]+/g)].map(([flag]) => flag));

const context: Context = {
  argv: [], env: {}, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, exitCode: 0,
};

for (const { words, alias, load } of COMMANDS) {
  const line = `slicer ${words.join(' ')}`;
  test(`docs/cli.md has ${line} with every flag`, async () => {
    assert.ok(cli.includes(line));
    if (alias !== undefined) assert.ok(cli.includes(`\`${alias}\``), alias);
    const command = new Command();
    (await load()).configure(command, context);
    for (const { long } of command.options) assert.ok(named.has(long as string), `${long}`);
  });
}

test('docs/cli.md names no flag that no command has', async () => {
  const known = new Set(['--help', '--debug']);
  for (const { load } of COMMANDS) {
    const command = new Command();
    (await load()).configure(command, context);
    for (const { long } of command.options) known.add(long as string);
  }
  for (const flag of named) assert.ok(known.has(flag), flag);
});

for (const { method, path } of Object.values(routes)) {
  test(`docs/api.md has ${method.toUpperCase()} ${path}`, () => {
    assert.ok(api.includes(`\`${method.toUpperCase()} ${path}\``));
  });
}
