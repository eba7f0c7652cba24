import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import type { VarsInventory } from '../../src/config/generators.ts';
import { SHARED } from '../../src/config/var-path.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { generate, type GenerationHost } from '../../src/generate/generation.ts';
import { allTasks, planGeneration, type GenerationRequest } from '../../src/generate/plan.ts';
import { endingCertificates, presentFiles, varProblems, varStates } from '../../src/generate/state.ts';
import { openVars, type VarsDirectory } from '../../src/generate/vars-directory.ts';
import { Secret } from '../../src/secret/secret.ts';
import { hostIn, inventoryOf, ownUid, temporaryDirectory, textOf } from './generate-fixture.ts';

const base = temporaryDirectory();
let count = 0;
const fresh = (): VarsDirectory => openVars(join(base, `vars-${(count += 1)}`), ownUid());

/** Everything that is missing; returns what was made, in order. */
async function make(inventory: VarsInventory, vars: VarsDirectory, request: Partial<GenerationRequest> = {}, host: Partial<GenerationHost> = {}): Promise<string[]> {
  const { tasks } = planGeneration(inventory, { machines: [], generator: undefined, regenerate: false, ...request }, (task) => presentFiles(task, vars));
  const made: string[] = [];
  await generate(tasks, allTasks(inventory), { ...hostIn(base), vars, ask: undefined, made: ({ machine, generator }) => made.push(`${machine} ${generator.name}`), ...host });
  return made;
}

const read = (vars: VarsDirectory, machine: string, path: string): string => {
  const [generator, file] = path.split('/') as [string, string];
  return textOf(vars.read({ machine, generator, file }));
};

test('a value is made once, and again only when that is asked for', async () => {
  const [inventory, vars] = [inventoryOf('{a: , b: {kind: uuid}}', ['m', 'n']), fresh()];
  assert.deepEqual(await make(inventory, vars), ['m a', 'm b', 'n a', 'n b']);
  const before = ['m', 'n'].map((machine) => read(vars, machine, 'a/value'));
  assert.notEqual(before[0], before[1]);
  assert.deepEqual(await make(inventory, vars), []);
  assert.deepEqual(await make(inventory, vars, { generator: 'a', machines: ['m'], regenerate: true }), ['m a']);
  assert.notEqual(read(vars, 'm', 'a/value'), before[0]);
  assert.equal(read(vars, 'n', 'a/value'), before[1]);
});

test('what machines share is made once for all of them', async () => {
  const [inventory, vars] = [inventoryOf('{a: {share: true}}', ['m', 'n']), fresh()];
  assert.deepEqual(await make(inventory, vars), [`${SHARED} a`]);
  assert.equal(read(vars, SHARED, 'a/value').length, 44);
});

test('a program has the values of what it depends on, shared ones too', async () => {
  const text = '{a: {share: true}, b: , c: {dependencies: [a, b], files: {v: }, script: \'cat "$in/a/value" "$in/b/value" > "$out/v"\'}}';
  const [inventory, vars] = [inventoryOf(text), fresh()];
  await make(inventory, vars);
  assert.equal(read(vars, 'm', 'c/v'), read(vars, SHARED, 'a/value') + read(vars, 'm', 'b/value'));
});

test('a CA that is made again has signed what depends on it again', async () => {
  const [inventory, vars] = [inventoryOf('{ca: {kind: x509, isCa: true, share: true}, c: {kind: x509, signedBy: ca}}'), fresh()];
  const certificate = (machine: string, path: string): X509Certificate => new X509Certificate(read(vars, machine, path));
  for (const request of [{}, { generator: 'ca', regenerate: true }]) {
    await make(inventory, vars, request);
    assert.ok(certificate('m', 'c/cert.pem').verify(certificate(SHARED, 'ca/cert.pem').publicKey));
    assert.ok(certificate('m', 'c/cert.pem').checkPrivateKey(createPrivateKey(read(vars, 'm', 'c/key.pem'))));
    assert.equal(read(vars, 'm', 'c/ca.pem'), read(vars, SHARED, 'ca/cert.pem'));
  }
});

test('a file that is declared later is added, and the others stay', async () => {
  const vars = fresh();
  await make(inventoryOf('{g: {files: {a: , b: }}}'), vars);
  const before = read(vars, 'm', 'g/a');
  await make(inventoryOf('{g: {files: {a: , c: }}}'), vars);
  assert.equal(read(vars, 'm', 'g/a'), before);
  assert.deepEqual(vars.list({ machine: 'm', generator: 'g' }).map(({ name }) => name), ['a', 'c']);
});

test('a generator that fails leaves nothing, and what was made before stays; it is named, and no value is', async () => {
  const text = '{a: , b: {dependencies: [a], files: {x: , y: }, script: \'cat "$in/a/value" | tee "$out/x" >&2; exit 4\'}, c: {dependencies: [b], files: {z: }, script: x}}';
  const [inventory, vars] = [inventoryOf(text), fresh()];
  await assert.rejects(make(inventory, vars), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.equal(error.message, 'generator "b" of machine "m": its program ended with exit code 4');
    assert.ok(!`${error.stack}`.includes(read(vars, 'm', 'a/value')));
    return true;
  });
  assert.deepEqual(varStates(inventory, vars).map(({ file, state }) => `${file} ${state}`), ['value made', 'x missing', 'y missing', 'z missing']);
});

test('a generator that fails when it is to make its values again leaves those that it had', async () => {
  const vars = fresh();
  const inventory = (script: string): VarsInventory => inventoryOf(`{g: {files: {a: , b: }, script: '${script}'}}`);
  await make(inventory('echo 1 > $out/a; echo 1 > $out/b'), vars);
  await assert.rejects(make(inventory('echo 2 > $out/a'), vars, { regenerate: true }));
  assert.deepEqual([read(vars, 'm', 'g/a'), read(vars, 'm', 'g/b')], ['1\n', '1\n']);
});

const ASKS = '{first: , a: {prompts: {token: , pin: }}, b: {files: {v: }, prompts: {name: {type: line}}, script: \'cat "$prompts/name" > "$out/v"\'}, p: {kind: password, prompts: {password: }}}';

test('without a terminal every prompt that is missing is named, and nothing is made', async () => {
  const [inventory, vars] = [inventoryOf(ASKS), fresh()];
  await assert.rejects(make(inventory, vars), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.deepEqual(error.problems, [
      ...['token', 'pin'].map((name) => ({
        code: 'prompt_unanswered', message: `generator "a" of machine "m" asks for "${name}", and there is no terminal to ask at`,
        hint: `run it at a terminal, or give it with: slicer vars set m a/${name}`,
      })),
      ...[['b', 'name'], ['p', 'password']].map(([generator, name]) => ({
        code: 'prompt_unanswered', message: `generator "${generator}" of machine "m" asks for "${name}", and there is no terminal to ask at`,
        hint: 'run it at a terminal',
      })),
    ]);
    return true;
  });
  assert.equal(varStates(inventory, vars).filter(({ state }) => state === 'made').length, 0);
});

test('what is typed is the value, or goes to the program, and is asked for once', async () => {
  const [inventory, vars] = [inventoryOf(ASKS), fresh()];
  const asked: string[] = [];
  const ask: GenerationHost['ask'] = async ({ generator }, { name, type }) => {
    asked.push(`${generator.name}/${name} ${type}`);
    return new Secret(Buffer.from(`typed ${name}`));
  };
  vars.write({ machine: 'm', generator: 'a' }, [{ name: 'pin', secret: true, value: new Secret(Buffer.from('set before')) }], false);
  await make(inventory, vars, {}, { ask });
  assert.deepEqual(asked, ['a/token hidden', 'b/name line', 'p/password hidden']);
  assert.deepEqual(['a/token', 'a/pin', 'b/v', 'p/password'].map((path) => read(vars, 'm', path)), ['typed token', 'set before', 'typed name', 'typed password']);
  assert.match(read(vars, 'm', 'p/hash'), /^\$6\$/);
  assert.deepEqual(varProblems(inventory, vars, Date.now()), []);
});

test('two runs at once make each value once: the slower one is refused', async () => {
  const [inventory, vars] = [inventoryOf('{g: {files: {a: }, script: \'echo $$ > "$out/a"\'}}'), fresh()];
  const outcomes = await Promise.allSettled([make(inventory, vars), make(inventory, vars)]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const reason = outcomes.find((outcome) => outcome.status === 'rejected')?.reason as SlicerError;
  assert.equal(reason.code, 'value_exists');
  assert.deepEqual(varProblems(inventory, vars, Date.now()), []);
});

test('check names what is missing, and what nothing declares by its number alone', async () => {
  const vars = fresh();
  await make(inventoryOf('{g: {files: {a: , b: }}}'), vars);
  assert.deepEqual(varProblems(inventoryOf('{g: {files: {a: , c: }}}'), vars, Date.now()).map(({ message }) => message), [
    '"g/c" of machine "m" is not there', 'generator "g" of machine "m" has 1 more file than it declares']);
});

test('check names certificates that have ended, and warns of those that soon will', async () => {
  const [inventory, vars, nowMs, dayMs] = [inventoryOf('{c: {kind: x509, lifetimeDays: 100}}'), fresh(), Date.UTC(2030, 0, 1), 24 * 60 * 60 * 1000];
  await make(inventory, vars, {}, { nowMs: () => nowMs });
  const at = (day: number): [string[], string[]] =>
    [endingCertificates(inventory, vars, nowMs + day * dayMs), varProblems(inventory, vars, nowMs + day * dayMs).map(({ message }) => message)];
  assert.deepEqual(at(69), [[], []]);
  assert.deepEqual(at(70), [['the certificate of generator "c" of machine "m" ends on 2030-04-11; make it again with --regenerate'], []]);
  assert.deepEqual(at(100), [[], ['the certificate of generator "c" of machine "m" ended on 2030-04-11']]);
  vars.write({ machine: 'm', generator: 'c' }, ['key.pem', 'cert.pem'].map((name) => ({ name, secret: name === 'key.pem', value: new Secret(Buffer.from('no certificate')) })), true);
  assert.deepEqual(at(100), [[], []]);
});

test('a file that is declared secret after it was made public is named', async () => {
  const vars = fresh();
  await make(inventoryOf('{g: {files: {a: {secret: false}, b: {secret: false}}}}'), vars);
  assert.deepEqual(varProblems(inventoryOf('{g: {files: {a: , b: {secret: false}}}}'), vars, Date.now()).map(({ message }) => message), [
    '"g/a" of machine "m" is open to all readers, and was declared secret since it was made']);
});
