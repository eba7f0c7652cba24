import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SHARED } from '../../src/config/var-path.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';
import { allTasks, dependenciesOf, planGeneration, type GenerationRequest, type Task } from '../../src/generate/plan.ts';
import { inventoryOf } from './generate-fixture.ts';

const ALL: GenerationRequest = { machines: [], generator: undefined, regenerate: false };
const key = ({ machine, generator }: Task): string => `${machine === SHARED ? '' : `${machine}/`}${generator.name}`;
const nothing = (): string[] => [];
const everything = ({ generator }: Task): string[] => generator.files.map(({ name }) => name);
const except = (...absent: string[]) => (task: Task): string[] => (absent.includes(key(task)) ? [] : everything(task));

const CHAIN = '{cert: {kind: x509, signedBy: ca}, ca: {kind: x509, isCa: true, share: true}, db: , env: {script: x, files: {e: }, dependencies: [db, cert]}}';
const chain = inventoryOf(CHAIN, ['m', 'n']);
const planned = (request: Partial<GenerationRequest>, presence: (task: Task) => string[] = nothing): string[] =>
  planGeneration(chain, { ...ALL, ...request }, presence).tasks.map((task) => `${key(task)}${task.replaces ? ' again' : ''}`);

const PLANS: readonly (readonly [string, Partial<GenerationRequest>, (task: Task) => string[], readonly string[]])[] = [
  ['nothing is there: everything, what others need first', {}, nothing, ['ca', 'm/cert', 'm/db', 'm/env', 'n/cert', 'n/db', 'n/env']],
  ['everything is there: nothing', {}, everything, []],
  ['one is missing: that one', {}, except('n/db'), ['n/db']],
  ['one machine: its own, and what it shares', { machines: ['n'] }, nothing, ['ca', 'n/cert', 'n/db', 'n/env']],
  ['one generator: what it needs, too', { generator: 'env', machines: ['m'] }, nothing, ['m/db', 'ca', 'm/cert', 'm/env']],
  ['one generator that is there, whose dependency is not: nothing', { generator: 'env' }, except('ca'), []],
  ['a CA again: what it signed, and what was made from that, on all machines', { generator: 'ca', regenerate: true }, everything,
    ['ca again', 'm/cert again', 'm/db', 'm/env again', 'n/cert again', 'n/db', 'n/env again'].filter((text) => !text.endsWith('/db'))],
  ['one that nothing depends on again: that one', { generator: 'env', machines: ['n'], regenerate: true }, everything, ['n/env again']],
  ['again where nothing was: what it needs is made', { generator: 'env', machines: ['n'], regenerate: true }, nothing, ['n/db', 'ca', 'n/cert', 'n/env again']],
];
for (const [what, request, presence, expected] of PLANS) test(what, () => assert.deepEqual(planned(request, presence), expected));

test('values that stay, though what they were made from is made now, are named', () => {
  const { stale } = planGeneration(chain, ALL, except('ca'));
  assert.deepEqual(stale.map(({ task, dependency }) => [key(task), dependency]), [['m/cert', 'ca'], ['n/cert', 'ca']]);
  assert.deepEqual(planGeneration(chain, { ...ALL, regenerate: true }, everything).stale, []);
});

test('files that are made one by one are added; where they are made together it is an error that says which are missing', () => {
  const inventory = inventoryOf('{g: {files: {a: , b: }}, p: {prompts: {x: , y: }}}');
  const { tasks } = planGeneration(inventory, ALL, ({ generator }) => (generator.name === 'g' ? ['a'] : ['y']));
  assert.deepEqual(tasks.map(({ files, replaces }) => [files, replaces]), [[['b'], false], [['x'], false]]);
  const keys = inventoryOf('{k: {kind: ssh-ed25519}, l: {kind: age}}');
  assert.throws(() => planGeneration(keys, ALL, ({ generator }) => (generator.name === 'k' ? ['key'] : ['recipient'])), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.deepEqual(error.problems.map(({ code, message }) => [code, message]), [
      ['value_exists', 'generator "k" of machine "m" has some of its files, and not key.pub'],
      ['value_exists', 'generator "l" of machine "m" has some of its files, and not identity'],
    ]);
    return true;
  });
  assert.deepEqual(planGeneration(keys, { ...ALL, regenerate: true, generator: 'k' }, () => ['key']).tasks.map(({ files }) => files), [['key', 'key.pub']]);
});

test('machines and generators that are none are refused with those that there are', () => {
  assert.throws(() => planned({ machines: ['m', 'o', 'p'] }), (error: unknown) => {
    assert.ok(error instanceof SlicerError);
    assert.deepEqual(error.problems.map(({ message, hint }) => [message, hint]), [
      ['the inventory has no machine "o"', 'it has m, n'], ['the inventory has no machine "p"', 'it has m, n']]);
    return true;
  });
  assert.throws(() => planned({ generator: 'cret' }), /the inventory has no generator "cret"/);
});

test('whatever depends on what and is there, each task comes once, after what it is made from', () => {
  const graphs = fc.integer({ min: 1, max: 7 }).chain((size) => fc.tuple(
    fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: size, maxLength: size }), fc.array(fc.boolean(), { minLength: size, maxLength: size }), fc.boolean()));
  fc.assert(fc.property(graphs, ([edges, there, regenerate]) => {
    // Only to generators before: no circles. They stand in the file the other way round.
    const text = edges.map((targets, index) => `g${index}: {dependencies: [${index === 0 ? '' : [...new Set(targets.map((target) => `g${target % index}`))].join(', ')}]}`);
    const inventory = inventoryOf(`{${text.reverse().join(', ')}}`);
    const presence = (task: Task): string[] => (there[Number(task.generator.name.slice(1))] ? everything(task) : []);
    const { tasks } = planGeneration(inventory, { ...ALL, regenerate }, presence);
    const all = allTasks(inventory);
    const order = tasks.map(({ generator }) => generator.name);
    assert.equal(new Set(order).size, order.length);
    for (const [index, task] of tasks.entries()) {
      for (const { generator } of dependenciesOf(task, all)) assert.ok(order.indexOf(generator.name) < index);
      for (const dependency of dependenciesOf(task, all)) assert.ok(presence(dependency).length > 0 || order.includes(dependency.generator.name));
    }
    const missing = all.filter((task) => presence(task).length === 0).length;
    assert.equal(order.length, regenerate ? all.length : missing);
  }));
});
