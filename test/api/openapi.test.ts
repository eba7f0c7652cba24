import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openApiDocument } from '../../src/api/openapi.ts';
import { routes } from '../../src/api/routes.ts';
import { CATALOGUE } from '../../src/errors/catalogue.ts';

interface Operation {
  readonly summary: string;
  readonly security?: unknown[];
  readonly parameters?: { name: string; in: string }[];
  readonly requestBody?: { content: object };
  readonly responses: Record<string, { description: string; content: Record<string, { schema: unknown }> }>;
}
interface Document {
  readonly openapi: string;
  readonly info: { version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { schemas: Record<string, unknown> };
}

const document = JSON.parse(JSON.stringify(openApiDocument('1.2.3'))) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, operation })));

test('the description has every route of the public interface, and no other', () => {
  assert.deepEqual(operations.map(({ name }) => name).sort(), [
    'DELETE /hostgroup/{name}/nodes/{hostname}', 'DELETE /nodes/{hostname}', 'DELETE /secrets/{name}',
    'GET /audit', 'GET /healthz', 'GET /hostgroup', 'GET /hostgroup/{name}/nodes', 'GET /info', 'GET /metrics', 'GET /nodes', 'GET /nodes/secrets',
    'GET /secrets', 'GET /store', 'GET /vm/{hostname}/health', 'GET /vm/{hostname}/logs', 'GET /vm/{hostname}/secrets',
    'PATCH /secrets/{name}', 'POST /hostgroup/{name}/nodes', 'POST /nodes', 'POST /secrets', 'POST /vm/{hostname}/exec',
  ]);
  assert.equal(operations.length, Object.keys(routes).length);
  assert.equal(document.info.version, '1.2.3');
});

for (const { name, path, operation } of operations) {
  test(`${name} is described whole: parameters, answers and errors`, () => {
    assert.match(operation.summary, /^[A-Z]/);
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name);
    assert.deepEqual(inPath.sort(), [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter).sort());
    for (const [status, { description, content }] of Object.entries(operation.responses)) {
      if (status.startsWith('2')) continue;
      assert.deepEqual(content['application/json']?.schema, { $ref: '#/components/schemas/Error' });
      for (const code of description.split(', ')) assert.equal(CATALOGUE[code as keyof typeof CATALOGUE].status, Number(status));
    }
    assert.equal(Object.keys(operation.responses).filter((status) => status.startsWith('2')).length, 1);
  });
}

test('every schema that is referred to is there', () => {
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name as string);
  assert.ok(references.length > 30);
  for (const name of references) assert.ok(name in document.components.schemas, name);
});

test('all routes but the liveness probe ask for the token', () => {
  assert.deepEqual(operations.filter(({ operation }) => operation.security?.length === 0).map(({ name }) => name), ['GET /healthz']);
});

test('no answer has a field that could hold a value', () => {
  for (const name of ['Secret', 'ChangedSecret', 'RemovedSecret', 'VmSecret', 'VmSecrets', 'Node']) {
    const schema = JSON.stringify(document.components.schemas[name]);
    assert.match(schema, /"properties"/);
    for (const field of ['data', 'value', 'content']) assert.ok(!schema.includes(`"${field}":`), `${name}.${field}`);
  }
});

test('exec takes its stdin as the body, and answers with lines or with one object', () => {
  const exec = document.paths['/vm/{hostname}/exec']?.['post'] as Operation;
  assert.deepEqual(Object.keys(exec.requestBody?.content ?? {}), ['application/octet-stream']);
  assert.deepEqual(Object.keys(exec.responses['200']?.content ?? {}), ['application/x-ndjson', 'application/json']);
});
