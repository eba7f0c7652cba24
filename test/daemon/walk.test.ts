// Walks the API's own description: every operation that it documents is called with a right input and with
// every kind of wrong one that its schemas tell of, and answers what it documents.
import assert from 'node:assert/strict';
import { before, after, test } from 'node:test';
import type { z } from 'zod';
import { errorBody } from '../../src/api/error-schema.ts';
import { routes } from '../../src/api/routes.ts';
import { CATALOGUE } from '../../src/errors/catalogue.ts';
import { payload } from '../live/wire-agent.ts';
import { FRAME } from '../../src/wire/exec-frames.ts';
import { base64, bench, type Answer, type Bench } from './daemon.ts';

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: 'path' | 'query'; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>>; readonly required?: boolean };
  readonly responses: Readonly<Record<string, unknown>>;
}

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly deprecated?: boolean;
  readonly $ref?: string;
}

interface Right {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: object | string;
}

/** A right input for each operation, in an order in which each finds what it needs. */
const RIGHT: Readonly<Record<string, Right>> = {
  'get /healthz': {},
  'get /info': {},
  'get /metrics': {},
  'get /audit': { query: '?secret=there&since=2026-01-01T00:00:00Z&follow=false' },
  'get /store': {},
  'post /secrets': { body: { name: 'created', data: base64('x'), permissions: '0640', uid: 1, gid: 2 }, query: '?wait=1s' },
  'get /secrets': {},
  'patch /secrets/{name}': { path: { name: 'there' }, body: { data: base64('y') }, query: '?wait=1s' },
  'get /hostgroup': {},
  'post /hostgroup/{name}/nodes': { path: { name: 'web' }, query: '?wait=agent&timeout=30s', body: { cpus: 1, ram_bytes: 134217728, tags: ['a'], secrets: ['there'], userdata: '#!/bin/sh\n' } },
  'get /hostgroup/{name}/nodes': { path: { name: 'web' }, query: '?tag=a' },
  'post /nodes': { body: { hostname: 'other', vsock: 'SET BELOW', secrets: [], tags: ['b'] } },
  'get /nodes': { query: '?tag_prefix=a' },
  'get /nodes/secrets': {},
  'get /vm/{hostname}/secrets': { path: { hostname: 'web-1' } },
  'get /vm/{hostname}/logs': { path: { hostname: 'web-1' }, query: '?lines=5' },
  'get /vm/{hostname}/health': { path: { hostname: 'web-1' } },
  'post /vm/{hostname}/exec': { path: { hostname: 'web-1' }, query: '?cmd=true&buffered=true&uid=0&args=a&args=b' },
  'delete /hostgroup/{name}/nodes/{hostname}': { path: { name: 'web', hostname: 'web-1' } },
  'delete /nodes/{hostname}': { path: { hostname: 'other' } },
  'delete /secrets/{name}': { path: { name: 'there' } },
};

let set: Bench;
let description: { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>; readonly components: { readonly schemas: Readonly<Record<string, Schema>> } };
const ends: (() => unknown)[] = [];

before(async () => {
  set = await bench({ after: (end: () => unknown) => ends.unshift(end) } as unknown as Parameters<typeof bench>[0]);
  await set.api('POST', '/secrets', { name: 'there', data: base64('x') });
  description = (await set.api('GET', '/openapi.json')).body;
});

after(async () => {
  for (const end of ends) await end();
});

const operationOf = (key: string): Operation => {
  const [method, path] = key.split(' ') as [string, string];
  return description.paths[path]?.[method] as Operation;
};

const resolved = (schema: Schema): Schema =>
  schema.$ref === undefined ? schema : description.components.schemas[schema.$ref.split('/').at(-1) as string] as Schema;

function ask(key: string, { path = {}, query = '', body }: Right): Promise<Answer> {
  const [method, pattern] = key.split(' ') as [string, string];
  const target = pattern.replace(/\{(\w+)\}/g, (_whole, name: string) => path[name] ?? 'x');
  const headers = typeof body === 'string' && body.startsWith('{') ? { 'content-type': 'application/json' } : {};
  return set.api(method.toUpperCase(), target + query, body, headers);
}

function checkError(key: string, { status, body, text }: Answer): void {
  assert.ok(status >= 400 && status < 500, `${status} ${text}`);
  assert.ok(String(status) in operationOf(key).responses, `${status} is not documented: ${text}`);
  const { code } = errorBody.parse(body);
  assert.equal(CATALOGUE[code].status, status);
}

test('the description lists exactly the operations that this walk knows, and the daemon serves', () => {
  const documented = Object.entries(description.paths).flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method} ${path}`));
  assert.deepEqual(documented.sort(), Object.keys(RIGHT).sort());
});

for (const [key, right] of Object.entries(RIGHT)) {
  test(`${key} refuses every wrong input with a documented error`, async () => {
    for (const wrong of wrongInputs(operationOf(key), right)) checkError(key, await ask(key, wrong));
  });

  test(`${key} answers a right input as documented`, async () => {
    const prepared = key === 'post /nodes' ? { body: { ...right.body as object, vsock: `${set.directory}/other.vsock` } } : right;
    const guest = set.vms.guests.get('web-1');
    if (guest !== undefined) {
      guest.agent.runCommand = (_request, send) => {
        send({ type: FRAME.started, payload: payload('1') });
        send({ type: FRAME.exit, payload: payload('0') });
        return () => {};
      };
    }
    const { status, headers, body, text } = await ask(key, prepared);
    const route = Object.values(routes).find((candidate) => `${candidate.method} ${candidate.path}` === key);
    const responses = route?.responses as Readonly<Record<number, { content?: Record<string, { schema: z.ZodType }> }>>;
    const type = String(headers['content-type']).split(';', 1)[0] as string;
    const schema = responses[status]?.content?.[type]?.schema;
    assert.ok(status < 300 && schema !== undefined, `${status} ${type} ${text}`);
    const values = type === 'text/plain' ? [text] : type === 'application/x-ndjson' ? linesOf(text) : [body];
    assert.ok(values.length > 0);
    for (const value of values) assert.deepEqual(schema.parse(value), value);
  });
}

const linesOf = (text: string): unknown[] => text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as unknown);

function wrongInputs(operation: Operation, right: Right): Right[] {
  return [...wrongPaths(operation, right), ...wrongQueries(operation, right), ...wrongBodies(operation, right)];
}

/** Names that nothing has, and names that nothing can have. */
function wrongPaths({ parameters = [] }: Operation, right: Right): Right[] {
  return parameters.filter((parameter) => parameter.in === 'path').flatMap(({ name }) =>
    ['nothing', '..%2f..', '%00', 'a%20b', 'x'.repeat(300), '%ff'].map((value) => ({ ...right, path: { ...right.path, [name]: value } })));
}

function wrongQueries({ parameters = [] }: Operation, right: Right): Right[] {
  const queries = parameters.filter((parameter) => parameter.in === 'query');
  if (queries.length === 0) return [];
  const values = queries.flatMap(({ name, schema }) => {
    const { type, enum: options } = resolved(schema);
    const isFree = type === 'array' || (type === 'string' && options === undefined && !['wait', 'timeout'].includes(name));
    return isFree ? [] : ['nonsense', '-1', ''].map((value) => `${name}=${value}`);
  });
  const twice = queries.filter(({ schema }) => resolved(schema).type !== 'array').map(({ name }) => `${name}=1&${name}=2`);
  return ['unknown=1', ...values, ...twice].map((query) => ({ ...right, query: `?${query}` }));
}

function wrongBodies({ requestBody }: Operation, right: Right): Right[] {
  const json = requestBody?.content['application/json'];
  if (json === undefined) return [];
  const { properties = {}, required = [] } = resolved(json.schema);
  const good = right.body as Record<string, unknown>;
  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
  const bodies: unknown[] = [
    '{', '[]', 'null', '"text"', { ...good, unknown: 1 },
    ...required.map(without),
    ...Object.entries(properties).flatMap(([name, schema]) => wrongValues(resolved(schema)).map((value) => ({ ...good, [name]: value }))),
    ...(requestBody?.required === true ? [''] : []),
  ];
  return bodies.map((body) => ({ ...right, body: typeof body === 'string' ? body : JSON.stringify(body) }));
}

function wrongValues({ type, deprecated }: Schema): unknown[] {
  if (deprecated) return ['set'];
  switch (type) {
    case 'string': return [5, null, {}, []];
    case 'integer': return ['5', 1.5, -1, null, 1e300];
    case 'array': return ['x', {}, [5], [null]];
    case 'boolean': return ['true', 1];
    default: return [null];
  }
}
