// What a generator's own program is given, and every way in which it fails.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { runCommand, type CommandHost } from '../../src/generate/command.ts';
import { Secret } from '../../src/secret/secret.ts';
import { generatorOf, hostIn, ownUid, scratchIn, temporaryDirectory, textOf } from './generate-fixture.ts';

const directory = temporaryDirectory();
const CANARY = 'canary-7d21';
const secret = (text: string): Secret => new Secret(Buffer.from(text));

interface Options {
  readonly files?: string;
  readonly more?: string;
  readonly host?: Partial<CommandHost>;
  readonly inputs?: ReadonlyMap<string, Secret>;
  readonly prompts?: ReadonlyMap<string, Secret>;
}

const make = (run: string | readonly string[], { files = '{a: , b: }', more = '', host = {}, inputs = new Map(), prompts = new Map() }: Options = {}) => {
  const generator = generatorOf(`{g: {files: ${files}, ${typeof run === 'string' ? 'script' : 'command'}: ${JSON.stringify(run)}${more}}}`);
  assert.ok(generator.recipe.kind === 'command');
  return runCommand({ recipe: generator.recipe, files: generator.files, inputs, prompts }, hostIn(directory, host));
};

const leftInScratch = (): string[] => readdirSync(scratchIn(directory));

test('what a script leaves in $out are its values, byte for byte', async () => {
  const made = await make('printf \'x\\n\' > "$out/a"; head -c 1048576 /dev/zero > "$out/b"');
  assert.deepEqual([textOf(made.get('a')), made.get('b')?.sizeBytes], ['x\n', 1_048_576]);
  assert.deepEqual(leftInScratch(), []);
});

test('a program that prints its value has it in the file that stdout names, beside those in $out', async () => {
  const made = await make(['sh', '-c', 'printf printed; printf written > "$out/b"'], { more: ', stdout: a' });
  assert.deepEqual([textOf(made.get('a')), textOf(made.get('b'))], ['printed', 'written']);
});

test('values that it depends on are in $in, and what was typed in $prompts', async () => {
  const made = await make('cat "$in/db/password" > "$out/a"; cat "$prompts/pin" > "$out/b"', {
    inputs: new Map([['db/password', secret('from db')]]), prompts: new Map([['pin', secret('1234')]]),
  });
  assert.deepEqual([textOf(made.get('a')), textOf(made.get('b'))], ['from db', '1234']);
});

test('its environment has nothing of the caller\'s but the PATH, its input is empty, and its directory its own', async () => {
  process.env['SLICER_TEST_CANARY'] = CANARY;
  try {
    const made = await make('env > "$out/a"; cat; { pwd; ls -A; echo "$HOME" "$TMPDIR"; } > "$out/b"');
    const variables = textOf(made.get('a')).split('\n').map((line) => line.split('=')[0] as string).filter((name) => !['', 'PWD', 'OLDPWD', 'SHLVL', '_'].includes(name));
    assert.deepEqual(variables.sort(), ['HOME', 'LC_ALL', 'PATH', 'TMPDIR', 'in', 'out', 'prompts']);
    const [working, places] = textOf(made.get('b')).split('\n');
    assert.equal(places, `${working} ${working}`);
    assert.ok(working?.startsWith(scratchIn(directory)));
  } finally {
    delete process.env['SLICER_TEST_CANARY'];
  }
});

test('a script stops at the first command that fails, and at a variable that is not set', async () => {
  await assert.rejects(make('false; echo x > "$out/a"; echo y > "$out/b"'), /ended with exit code 1/);
  await assert.rejects(make('echo "$nope" > "$out/a"; echo y > "$out/b"'), /ended with exit code [12]/);
});

const BAD: readonly (readonly [string, string, string, string?])[] = [
  ['fails', `echo ${CANARY} > "$out/a"; echo ${CANARY} >&2; exit 3`, 'its program ended with exit code 3', 'see what it says with --show-stderr'],
  ['is killed', 'kill -9 $$', 'its program was ended by SIGKILL', 'see what it says with --show-stderr'],
  ['makes nothing', ':', 'its program made no a, no b', 'expected in $out: a, b'],
  ['makes one file of two', `echo ${CANARY} > "$out/a"`, 'its program made no b', 'expected in $out: a, b'],
  ['makes an empty file', `echo ${CANARY} > "$out/a"; : > "$out/b"`, 'its program made b empty'],
  ['makes a file that is too large', `echo ${CANARY} > "$out/a"; head -c 1048577 /dev/zero > "$out/b"`, 'its program made b of 1048577 bytes; a value has at most 1048576'],
  ['leaves a link', `echo ${CANARY} > "$out/a"; ln -s a "$out/b"`, 'its program made of b a symbolic link, expected a file'],
  ['leaves a link to nothing', `echo ${CANARY} > "$out/a"; ln -s nothing "$out/b"`, 'its program made of b a symbolic link, expected a file'],
  ['leaves a directory', `echo ${CANARY} > "$out/a"; mkdir "$out/b"`, 'its program made of b a directory, expected a file'],
  ['leaves a pipe', `echo ${CANARY} > "$out/a"; mkfifo "$out/b"`, 'its program made of b no regular file, expected a file'],
  ['leaves a file that it does not declare', `echo x > "$out/a"; echo y > "$out/b"; echo z > "$out/${CANARY}"`,
    'its program left 1 file in $out that it does not declare', 'its files are a, b'],
  ['leaves a hidden directory', 'echo x > "$out/a"; echo y > "$out/b"; mkdir "$out/.d"', 'its program left 1 file in $out that it does not declare', 'its files are a, b'],
  ['removes $out', 'rmdir "$out"', 'its program removed $out'],
  ['puts a file in the place of $out', 'rmdir "$out"; echo x > "$out"', 'its program removed $out'],
];
for (const [what, script, message, hint] of BAD) {
  test(`a program that ${what} is refused by name, and nothing of it is left or told`, async () => {
    await assert.rejects(make(script), (error: unknown) => {
      assert.ok(error instanceof SlicerError);
      assert.deepEqual(error.problems, [hint === undefined ? { code: 'generate_failed', message } : { code: 'generate_failed', message, hint }]);
      assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(CANARY));
      return true;
    });
    assert.deepEqual(leftInScratch(), []);
  });
}

test('a program that prints nothing is refused', async () => {
  await assert.rejects(make(['true'], { files: '{a: }', more: ', stdout: a' }), /its program made a empty/);
});

test('a program that is not there, or is none, is refused by that', async () => {
  await assert.rejects(make(['no-such-program'], { host: { path: '/usr/bin:/bin' } }), /its program can't be started: it is not there, nor on the PATH/);
  const path = join(directory, 'no-program');
  writeFileSync(path, 'text', { mode: 0o600 });
  await assert.rejects(make([path]), /its program can't be started: it is not executable/);
  assert.deepEqual(leftInScratch(), []);
});

test('a program with a relative path is looked for where slicer was started', async () => {
  writeFileSync(join(directory, 'program'), '#!/bin/sh\necho x > "$out/a"; echo y > "$out/b"\n', { mode: 0o755 });
  assert.equal(textOf((await make(['./program'])).get('a')), 'x\n');
});

test('a program that hangs is killed when its time is up, with all that it started', async () => {
  const mark = join(directory, 'started');
  await assert.rejects(make(`sh -c 'echo $$ > ${mark}; exec sleep 1000' & echo x > "$out/a"; wait`, { more: ', timeoutSeconds: 1' }), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.equal(error.message, 'its program did not end within 1 s and was killed');
    return true;
  });
  const child = readFileSync(mark, 'utf8').trimEnd();
  // A killed process is there, as a zombie, until somebody has asked for its end.
  assert.ok(!existsSync(`/proc/${child}`) || /^State:\tZ/m.test(readFileSync(`/proc/${child}/status`, 'utf8')));
  assert.deepEqual(leftInScratch(), []);
});

test('a program whose child lives on does not keep anybody waiting', async () => {
  const made = await make('sleep 1000 & echo x > "$out/a"; echo y > "$out/b"');
  assert.equal(textOf(made.get('b')), 'y\n');
});

test('a program is stopped when the caller is told to stop', async () => {
  const stop = new AbortController();
  const mark = join(directory, 'running');
  mkdirSync(mark);
  const making = make(`: > ${mark}/file; sleep 1000`, { host: { signal: stop.signal } });
  while (readdirSync(mark).length === 0) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await assert.rejects(making, /its program was stopped/);
  assert.deepEqual(leftInScratch(), []);
  await assert.rejects(make(':', { host: { signal: stop.signal } }), /its program was stopped/);
});

test('a directory that a program closed to itself is removed too', async () => {
  await assert.rejects(make('mkdir "$HOME/d"; : > "$HOME/d/f"; chmod 0 "$HOME/d"; chmod 500 "$out"; exit 1'));
  assert.deepEqual(leftInScratch(), []);
});

test('what a process that was killed left is cleared by the next, and what one that runs has is not', async () => {
  const scratch = scratchIn(directory);
  // Above the highest process id there can be (proc_sys_kernel(5), pid_max).
  mkdirSync(join(scratch, 'generate-4194305-AbCdEf/out'), { recursive: true });
  chmodSync(join(scratch, 'generate-4194305-AbCdEf/out'), 0o500);
  mkdirSync(join(scratch, `generate-${process.ppid}-AbCdEf`));
  await make('echo x > "$out/a"; echo y > "$out/b"');
  assert.deepEqual(leftInScratch(), [`generate-${process.ppid}-AbCdEf`]);
});

test('where there is no memory-backed file system nothing is run', async () => {
  const mark = join(directory, 'ran');
  await assert.rejects(make(`: > ${mark}`, { host: { scratchDirectory: () => Promise.reject(new Error('none')) } }), /none/);
  assert.ok(!existsSync(mark));
});

test('no other user can enter while it runs', async () => {
  const made = await make('stat -c "%a %u" "$out" "$out/.." "$in" "$prompts" > "$out/a"; echo x > "$out/b"');
  assert.deepEqual(new Set(textOf(made.get('a')).trimEnd().split('\n')), new Set([`700 ${ownUid()}`]));
});
