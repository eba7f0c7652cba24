// Completion as shells run it: bash and fish complete lines here, with a `slicer` on the PATH that knows VMs and
// secrets.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { findCommand } from '../../image/command.ts';
import { commandShapes } from '../../src/cli/command-shape.ts';
import { GROUPS } from '../../src/cli/command-table.ts';
import { bashCompletion } from '../../src/cli/completion/bash.ts';
import { fishCompletion } from '../../src/cli/completion/fish.ts';
import { treeOf } from '../../src/cli/completion/tree.ts';
import { zshCompletion } from '../../src/cli/completion/zsh.ts';
import type { Context } from '../../src/cli/context.ts';

const context: Context = { argv: [], env: {}, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, exitCode: 0 };
const tree = treeOf(GROUPS, await commandShapes(context));

const directory = mkdtempSync(join(tmpdir(), 'slicer-completion-'));
after(() => rmSync(directory, { recursive: true }));
const table = (...rows: string[]): string => `printf '%s\\n' 'NAME  SIZE' '----  ----' ${rows.map((row) => `'${row}  1'`).join(' ')}`;
writeFileSync(join(directory, 'slicer'), `#!/bin/sh
case "$1 $2" in "vm list") ${table('web-1', 'web-2')} ;; "secret list") ${table('api-key', 'db-key')} ;; esac
`, { mode: 0o755 });
const env = { ...process.env, PATH: `${directory}:${process.env['PATH']}` };

/** What is offered for a line, where `word` is the one that is being typed. */
const CASES: readonly [line: readonly string[], word: string, offered: readonly string[]][] = [
  [[], 'se', ['secret']],
  [['secret'], '', ['create', 'list', 'remove', 'update']],
  [['secret', 'update'], '', ['api-key', 'db-key']],
  [['secret', 'rm'], 'a', ['api-key']],
  [['--url', './x.sock', 'vm', 'logs'], 'web', ['web-1', 'web-2']],
  [['vm', 'delete', 'web-1'], 'web-2', ['web-2']],
  [['vm', 'launch'], '--no', ['--no-secrets']],
  [['vm', 'launch', '--secret'], 'd', ['db-key']],
  [['render', '--format'], 'qemu', ['qemu-args']],
  [['secret', 'update', 'api-key'], '--perm', ['--permissions']],
];

const skipFor = (shell: string): string | false => (findCommand(shell) === undefined ? `${shell} is missing: apt-get install ${shell}` : false);

for (const [line, word, offered] of CASES) {
  const typed = ['slicer', ...line, word];
  test(`bash completes "${typed.join(' ')}"`, () => {
    const file = join(directory, 'slicer.bash');
    writeFileSync(file, bashCompletion(tree));
    const script = '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _slicer; printf "%s\\n" "${COMPREPLY[@]}"';
    const stdout = execFileSync('bash', ['--norc', '-c', script, file, ...typed], { env, encoding: 'utf8' });
    assert.deepEqual(stdout.trim().split('\n').sort(), offered);
  });

  test(`fish completes "${typed.join(' ')}"`, { skip: skipFor('fish') }, () => {
    const file = join(directory, 'slicer.fish');
    writeFileSync(file, fishCompletion(tree));
    const stdout = execFileSync('fish', ['--no-config', '-c', `source ${file}; complete -C '${typed.join(' ')}'`], { env, encoding: 'utf8' });
    assert.deepEqual(stdout.trim().split('\n').map((each) => each.split('\t')[0]).sort(), offered);
  });
}

test('bash does not complete what is the guest\'s command', () => {
  const file = join(directory, 'slicer.bash');
  writeFileSync(file, bashCompletion(tree));
  const script = '. "$0"; COMP_WORDS=(slicer vm exec web-1 -- l); COMP_CWORD=5; _slicer; printf "%s" "${COMPREPLY[@]}"';
  assert.equal(execFileSync('bash', ['--norc', '-c', script, file], { env, encoding: 'utf8' }), '');
});

test('zsh reads its completion', { skip: skipFor('zsh') }, () => {
  const file = join(directory, '_slicer');
  writeFileSync(file, zshCompletion(tree));
  assert.deepEqual({ ...spawnSync('zsh', ['-n', file], { encoding: 'utf8' }), pid: 0, output: [] }, { pid: 0, output: [], status: 0, signal: null, stdout: '', stderr: '' });
});

for (const [shell, text] of Object.entries({ bash: bashCompletion(tree), zsh: zshCompletion(tree), fish: fishCompletion(tree) })) {
  test(`completion for ${shell} has every command and every option`, () => {
    for (const { words, options } of tree.commands) {
      assert.ok(text.includes(words.join(shell === 'zsh' ? '_' : ' ')), words.join(' '));
      for (const { long } of options) assert.ok(text.includes(shell === 'fish' ? `-l ${long.slice(2)}` : long), `${words.join(' ')} ${long}`);
    }
  });
}
