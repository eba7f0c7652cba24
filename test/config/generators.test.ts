import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseVarsInventory } from '../../src/config/generators-load.ts';
import type { Generator } from '../../src/config/generators.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

const problemsOf = (text: string): string[] => {
  try {
    parseVarsInventory(text, 'inv.yaml');
  } catch (error) {
    assert.ok(error instanceof SlicerError);
    assert.equal(error.code, 'invalid_config');
    return error.problems.map(({ message }) => message);
  }
  return [];
};

/** The one generator of a text below `generators`, which machine `m` has. */
const only = (text: string): Generator => {
  const [machine] = parseVarsInventory(`{instances: {i: {roles: {guest: {machines: {m: }}}}}, generators: {${text}}}`, 'inv.yaml').machines;
  assert.equal(machine?.generators.length, 1);
  return machine?.generators[0] as Generator;
};

test('a generator that says nothing is 32 random bytes in base64, as one secret file', () => {
  for (const text of ['g:', 'g: {}', 'g: {kind: random}', 'g: {files: {value: {}}}', 'g: {files: {value: }}']) {
    assert.deepEqual(only(text), {
      name: 'g', share: false, dependencies: [], prompts: [], files: [{ name: 'value', secret: true }],
      recipe: { kind: 'random', encoding: 'base64', length: 32 },
    });
  }
});

test('the kind follows from what is there', () => {
  assert.equal(only('g: {script: x, files: {a: }}').recipe.kind, 'command');
  assert.equal(only('g: {command: [x], files: {a: }}').recipe.kind, 'command');
  assert.equal(only('g: {script: x, files: {a: }, prompts: {p: }}').recipe.kind, 'command');
  assert.equal(only('g: {prompts: {p: }}').recipe.kind, 'prompt');
});

test('files are those of the kind, with what is said of them', () => {
  const filesOf = (text: string): string => only(text).files.map(({ name, secret }) => `${name} ${secret ? 'secret' : 'public'}`).join(', ');
  assert.equal(filesOf('g: {kind: password}'), 'password secret, hash secret');
  assert.equal(filesOf('g: {kind: ssh-ed25519}'), 'key secret, key.pub public');
  assert.equal(filesOf('g: {kind: ssh-ed25519, files: {key.pub: {secret: true}}}'), 'key secret, key.pub secret');
  assert.equal(filesOf('g: {kind: age}'), 'identity secret, recipient public');
  assert.equal(filesOf('g: {kind: wireguard}'), 'private-key secret, public-key public');
  assert.equal(filesOf('g: {kind: x509}'), 'key.pem secret, cert.pem public');
  assert.equal(filesOf('g: {kind: random, files: {a: , b: {secret: false}}}'), 'a secret, b public');
  assert.equal(filesOf('g: {prompts: {a: , b: }, files: {b: {secret: false}}}'), 'a secret, b public');
});

test('prompts are hidden unless their type says otherwise', () => {
  assert.deepEqual(only('g: {prompts: {a: , b: {type: multiline, description: the key}}}').prompts, [
    { name: 'a', type: 'hidden', description: undefined }, { name: 'b', type: 'multiline', description: 'the key' },
  ]);
});

test('the CA that signs is a dependency, and its certificate is a file', () => {
  const text = '{generators: {ca: {kind: x509, isCa: true, share: true}, c: {kind: x509, signedBy: ca}}, instances: {i: {roles: {r: {machines: {m: {}}}}}}}';
  const { shared, machines } = parseVarsInventory(text, 'inv.yaml');
  assert.deepEqual(shared.map(({ name, recipe }) => [name, recipe.kind === 'x509' && recipe.lifetimeDays]), [['ca', 3650]]);
  const [certificate] = machines[0]?.generators ?? [];
  assert.deepEqual(certificate?.dependencies, ['ca']);
  assert.deepEqual(certificate?.files.map(({ name }) => name), ['key.pem', 'cert.pem', 'ca.pem']);
});

test('secrets of an instance that have no source are files of a generator of its own, under settings or config', () => {
  for (const key of ['settings', 'config']) {
    const text = `{instances: {app: {roles: {guest: {machines: {m: {${key}: {runtimeSecrets: {
      a: {generateSecret: true}, b: {}, c: , d: {secretPath: /x}, e: {generateSecret: false}, f: {var: g/value}}}}, n: }}}}}, generators: {g: }}`;
    const { machines } = parseVarsInventory(text, 'inv.yaml');
    assert.deepEqual(machines.map(({ name, generators }) => [name, ...generators.map((generator) => generator.name)]), [['m', 'g', 'microvm-app'], ['n', 'g']]);
    assert.deepEqual(machines[0]?.generators[1]?.files.map(({ name }) => name), ['a', 'b', 'c']);
    assert.deepEqual(machines[0]?.generators[1]?.recipe, { kind: 'random', encoding: 'base64', length: 32 });
  }
});

test('a generator that is declared by the name of an instance\'s own takes its place', () => {
  const text = `{instances: {app: {roles: {guest: {machines: {m: {settings: {runtimeSecrets: {a: }}}}}}}},
    generators: {microvm-app: {kind: random, encoding: hex, files: {a: }}}}`;
  const [machine] = parseVarsInventory(text, 'inv.yaml').machines;
  assert.deepEqual(machine?.generators.map(({ recipe }) => recipe), [{ kind: 'random', encoding: 'hex', length: 32 }]);
});

test('an instance with two roles on one machine has the secrets of both', () => {
  const role = (secret: string): string => `{machines: {m: {settings: {runtimeSecrets: {${secret}: }}}}}`;
  const { machines } = parseVarsInventory(`{instances: {app: {roles: {one: ${role('a')}, two: ${role('b')}}}}}`, 'inv.yaml');
  assert.deepEqual(machines.map(({ generators }) => generators.map(({ files }) => files.map(({ name }) => name))), [[['a', 'b']]]);
});

const g = (text: string): string => `generators:\n  g: ${text}`;
const BAD: readonly (readonly [string, readonly string[]])[] = [
  ['[]', ['inv.yaml:1:1: expected a map with generators or instances, got a list']],
  ['generators: []', ['inv.yaml:1:13: generators: expected a map of generators by their names, got a list']],
  [g('[]'), ['inv.yaml:2:6: generators.g: expected a map, such as {kind: random}, got a list']],
  [g('{kind: rsa}'), ['inv.yaml:2:13: generators.g.kind: expected one of random, password, uuid, ssh-ed25519, age, x509, wireguard, command, prompt, got "rsa"']],
  [g('{lenght: 3}'), ['inv.yaml:2:7: generators.g.lenght: is no key of a generator; did you mean "length"']],
  [g('{runtimeInputs: []}'), ['inv.yaml:2:7: generators.g.runtimeInputs: is of Nix; here a script finds its programs on the PATH']],
  [g('{files: {a: {mode: 1, secrt: true}}}'), [
    'inv.yaml:2:19: generators.g.files.a.mode: is for what clan puts on its machines; what a VM gets, and as whose file, is in its runtimeSecrets',
    'inv.yaml:2:28: generators.g.files.a.secrt: is no key of a file; did you mean "secret"']],
  [g('{kind: prompt, prompts: {a: {persist: true}}}'), ['inv.yaml:2:35: generators.g.prompts.a.persist: is clan\'s; here a generator of kind prompt keeps what was typed']],
  [g('{length: 0}'), ['inv.yaml:2:15: generators.g.length: expected an integer of 1 to 65536, got 0']],
  [g('{kind: age, length: 3, isCa: true}'), [
    'inv.yaml:2:18: generators.g.length: is for kind random or password, and this is age', 'inv.yaml:2:29: generators.g.isCa: is for kind x509, and this is age']],
  [g('{kind: ssh-ed25519, files: {key: {secret: false}, id: }}'), [
    'inv.yaml:2:48: generators.g.files.key.secret: expected true: this part of kind ssh-ed25519 is always secret',
    'inv.yaml:2:56: generators.g.files.id: is no file of kind ssh-ed25519, which makes key, key.pub']],
  [g('{files: {a/b: , .c: }}'), [
    'inv.yaml:2:15: generators.g.files.a/b: expected the name of a file: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot',
    'inv.yaml:2:22: generators.g.files..c: expected the name of a file: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot']],
  ['generators: {a/b: }', ['inv.yaml:1:14: generators.a/b: expected a name: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot']],
  [g('{kind: command}'), [
    'inv.yaml:2:6: generators.g: expected script or command, got neither', 'inv.yaml:2:6: generators.g: expected files, the names of what it makes; got none']],
  [g('{script: x, command: [x], files: {a: }}'), ['inv.yaml:2:6: generators.g: expected script or command, got both']],
  [g('{command: [], files: {a: }}'), ['inv.yaml:2:16: generators.g.command[0]: is missing; expected the name of a program']],
  [g('{script: x, stdout: b, files: {a: }}'), ['inv.yaml:2:26: generators.g.stdout: expected one of its files: a']],
  [g('{kind: prompt}'), ['inv.yaml:2:6: generators.g: expected prompts, what is to be asked; got none']],
  [g('{prompts: {a: }, files: {b: }}'), ['inv.yaml:2:31: generators.g.files.b: expected one of its prompts: a']],
  [g('{kind: password, prompts: {pin: }}'), ['inv.yaml:2:33: generators.g.prompts.pin: expected password: kind password takes no other prompt']],
  [g('{kind: uuid, prompts: {a: }}'), ['inv.yaml:2:19: generators.g.prompts: is for kind command or prompt or password, and this is uuid']],
  [g('{kind: x509, names: [a b]}'), ['inv.yaml:2:27: generators.g.names[0]: expected a DNS name or an IP address, got "a b"']],
  ['generators: {db: , g: {dependencies: [dbs]}}', ['inv.yaml:1:39: generators.g.dependencies[0]: there is no generator "dbs"; did you mean "db"']],
  ['generators: {ca: {kind: x509}, g: {kind: x509, signedBy: ca}}', [
    'inv.yaml:1:58: generators.g.signedBy: expected a generator of kind x509 with isCa: true, which "ca" is not']],
  ['generators: {a: , g: {share: true, dependencies: [a]}}', [
    'inv.yaml:1:51: generators.g.dependencies[0]: expected a generator with share: true, since this one has it: "a" is another one on each machine']],
  ['generators: {a: {dependencies: [b]}, b: {dependencies: [c]}, c: {dependencies: [a]}}', ['inv.yaml:1:14: generators.a: depends on itself: a → b → c → a']],
  [g('{dependencies: [g]}'), ['inv.yaml:2:3: generators.g: depends on itself: g → g']],
  ['generators: {ca: {kind: x509, isCa: true, signedBy: cb}, cb: {kind: x509, isCa: true, signedBy: ca}}', ['inv.yaml:1:14: generators.ca: depends on itself: ca → cb → ca']],
  ['instances: {i: {roles: {r: {machines: {a b: }}}}}', [
    'inv.yaml:1:40: instances.i.roles.r.machines.a b: expected a name: 1 to 253 of A-Z a-z 0-9 . _ -, not beginning with a dot']],
  ['a: b: c', ['inv.yaml:1:4: expected a value, got a second ": " on the line; put the text in quotes']],
];
for (const [text, expected] of BAD) {
  test(`${JSON.stringify(text)} is refused: ${expected.join('; ')}`, () => assert.deepEqual(problemsOf(text), expected));
}

test('two circles are two problems, and what leads into one is none', () => {
  const text = 'generators: {x: {dependencies: [a]}, a: {dependencies: [b]}, b: {dependencies: [a]}, c: {dependencies: [c]}}';
  assert.deepEqual(problemsOf(text), ['inv.yaml:1:38: generators.a: depends on itself: a → b → a', 'inv.yaml:1:86: generators.c: depends on itself: c → c']);
});

test('the example of the docs is one', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/generators.md'), 'utf8');
  const [, example] = /```yaml\n([^`]+)```/.exec(docs) ?? [];
  const { shared, machines } = parseVarsInventory(example as string, 'inventory.yaml');
  assert.deepEqual(shared.map(({ name }) => name), ['ca']);
  assert.deepEqual(machines.map(({ name, generators }) => [name, ...generators.map((generator) => generator.name)]), [['web', 'db', 'tls', 'api', 'env', 'microvm-my-app']]);
});
