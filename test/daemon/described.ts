// What the API's description says of errors, held against what a daemon answers: every test that asks one
// looks here, so that a code that is answered is one that is described.
import assert from 'node:assert/strict';
import { routes } from '../../src/api/routes.ts';

const ROUTES = Object.values(routes).map(({ method, path, responses }) => ({
  method: method.toUpperCase(),
  path: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
  responses: responses as Readonly<Record<number, { readonly description: string }>>,
}));

/** Fails where the route of a request does not name the error that it was answered with. */
export function requireDescribed(method: string, target: string, status: number, code: unknown): void {
  const path = target.replace(/\?.*$/s, '');
  const route = ROUTES.find((candidate) => candidate.method === method && candidate.path.test(path));
  if (route === undefined || typeof code !== 'string') return;
  const codes = route.responses[status]?.description.split(', ') ?? [];
  assert.ok(codes.includes(code), `${method} ${path} answers ${status} ${code}, its description has ${codes.join(', ') || 'none'}`);
}
