// Attaches handlers to the routes of src/api: who may ask, what a request must be, and how errors are
// answered, the same for every route.
import type { HttpBindings } from '@hono/node-server';
import { z, type RouteConfig } from '@hono/zod-openapi';
import { Hono, type Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { isIP } from 'node:net';
import { toErrorBody } from '../api/error-body.ts';
import { HOSTNAME } from '../api/hostname.ts';
import { problemsOf } from '../api/problems.ts';
import { fail, SlicerError, throwIfAny, type Problem } from '../errors/slicer-error.ts';
import type { Auditor } from './auditor.ts';
import type { Caller } from './caller.ts';
import { isReadable } from './read-routes.ts';
import { parseSecretName } from '../secret/name.ts';
import { errorFields, type Log } from './log.ts';
import { readJsonBody } from './request-body.ts';

export type Bindings = HttpBindings & {
  readonly caller: Caller;
  /** Whether anybody who reaches the listener is let in. */
  readonly isOpen: boolean;
};

/** Of routes that take no parameters: one that is ignored may have been meant to keep something from being done. */
const NO_QUERY = z.strictObject({});

/** How long a client may go on sending after it was refused. */
const LINGER_MS = 2_000;

/** Of a request whose every part is wrong: the answer stays small enough to read. */
const MAX_PROBLEMS = 20;

export type ApiContext = Context<{ Bindings: Bindings }>;

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;
type JsonSchema<Body> = Body extends { content: { 'application/json': { schema: infer Schema } } } ? Schema : undefined;

/** What a handler gets: parsed, so that it can't be wrong. */
export interface Input<Route extends RouteConfig> {
  readonly params: Route extends { request: { params: infer Schema } } ? Output<Schema> : undefined;
  readonly query: Route extends { request: { query: infer Schema } } ? Output<Schema> : undefined;
  readonly body: Route extends { request: { body: infer Body } } ? Output<JsonSchema<Body>> : undefined;
  readonly context: ApiContext;
}

/** The body of the route's good answer, or a response that the handler made itself. */
export type Answer<Route extends RouteConfig> =
  | (Route['responses'] extends { 200: infer Good } ? Output<JsonSchema<Good>> : never)
  | (Route['responses'] extends { 201: infer Good } ? Output<JsonSchema<Good>> : never)
  | Response;

export type Attach = <Route extends RouteConfig & { getRoutingPath(): string }>(
  route: Route,
  handler: (input: Input<Route>) => Promise<Answer<Route>>,
) => void;

export interface Router {
  readonly attach: Attach;
  /** Serves a document that never changes. */
  readonly serve: (path: string, document: object) => void;
  readonly fetch: Hono<{ Bindings: Bindings }>['fetch'];
}

/** `isClosing`: whether requests are refused because the daemon ends. `refused` puts on record whom it refuses. */
export function createRouter(log: Log, isClosing: () => boolean, refused: Auditor['refused']): Router {
  const app = new Hono<{ Bindings: Bindings }>();
  const methods = new Map<string, string[]>();

  app.use(async (context, next) => {
    const { incoming, caller, isOpen } = context.env;
    if (context.req.path !== '/healthz') {
      // A browser sends Origin with every request of a page that changes something, and the page's own name
      // as Host where that was made to lead here (DNS rebinding): where no token is asked for, no page may
      // act for its reader, or read for its writer.
      if (isOpen && (incoming.headers.origin !== undefined || hasForeignHost(incoming))) {
        refused(caller.actor, 'forbidden', {});
        throw fail('forbidden', 'this listener asks for no token and takes no requests from browsers');
      }
      if (caller.role === 'none') {
        refused(caller.actor, 'unauthorized', {});
        throw fail('unauthorized', incoming.headers.authorization === undefined ? 'a bearer token is needed' : 'this is not the bearer token', 'the daemon keeps it in its token file: --token-file, SLICER_TOKEN_FILE');
      }
      if (isClosing()) throw fail('shutting_down', 'the daemon is shutting down');
    }
    await next();
  });

  app.notFound((context) => {
    const allowed = [...methods].find(([path]) => patternOf(path).test(context.req.path))?.[1];
    if (allowed === undefined) return answerError(context, fail('not_found', 'there is no such resource', 'GET /openapi.json lists all'));
    context.header('Allow', allowed.join(', '));
    return answerError(context, fail('method_not_allowed', `${context.req.method} is not possible here, ${allowed.join(', ')} is`));
  });

  app.onError((error, context) => {
    if (error instanceof SlicerError) return answerError(context, error);
    log.error({ method: context.req.method, route: context.req.routePath, ...errorFields(error) }, 'a request failed');
    return answerError(context, fail('internal', 'the daemon failed; its log says where'));
  });

  const attach: Attach = (route, handler) => {
    const method = route.method.toUpperCase();
    const path = route.getRoutingPath();
    methods.set(path, [...(methods.get(path) ?? []), ...(method === 'GET' ? ['GET', 'HEAD'] : [method])]);
    const status = (route.responses[201] === undefined ? 200 : 201) as ContentfulStatusCode;
    app.on(method, path, async (context) => {
      checkRole(route, context, refused);
      const started = performance.now();
      const answer = await handler(await parse(route, context));
      const level = method === 'GET' ? 'debug' : 'info';
      log[level]({ method, route: path, status, ms: Math.round(performance.now() - started) }, 'request');
      return answer instanceof Response ? answer : context.json(answer as unknown as object, status);
    });
  };
  const serve = (path: string, document: object): void => {
    methods.set(path, ['GET', 'HEAD']);
    app.get(path, (context) => context.json(document));
  };
  return { attach, serve, fetch: app.fetch };
}

/** Throws forbidden for what the caller's role may not. Before the request is read: what it holds is nobody's business. */
function checkRole(route: RouteConfig, context: ApiContext, refused: Auditor['refused']): void {
  const { caller } = context.env;
  if (caller.role !== 'read' || isReadable(route)) return;
  const request = `${route.method.toUpperCase()} ${route.path}`;
  const { name = '', hostname = '' } = context.req.param() as Record<string, string | undefined>;
  const secret = route.path.startsWith('/secrets/') ? parseSecretName(name) : undefined;
  refused(caller.actor, 'forbidden', {
    request, ...(secret === undefined ? {} : { secret }), ...(HOSTNAME.test(hostname) ? { vm: hostname } : {}),
  });
  throw fail('forbidden', `the role read may not ${request}`, 'ask over a socket, or with a token, whose role is admin');
}

/** Checks all parts of a request before it refuses, so that all that is wrong is told at once. */
async function parse<Route extends RouteConfig>(route: Route, context: ApiContext): Promise<Input<Route>> {
  const { params, query, body } = route.request ?? {};
  const problems: Problem[] = [];
  const parsed = async (schema: unknown, value: unknown): Promise<unknown> => {
    if (schema === undefined) return undefined;
    const result = await (schema as z.ZodType).safeParseAsync(value);
    if (!result.success) problems.push(...problemsOf(result.error));
    return result.data;
  };
  const input = { params: await parsed(params, context.req.param()), query: await parsed(query ?? NO_QUERY, queryOf(context)) };
  const jsonBody = body?.content['application/json'];
  let json: unknown;
  if (jsonBody !== undefined && 'schema' in jsonBody) {
    json = await readJsonBody(context.env.incoming);
    if (json === undefined && body?.required !== true) json = {};
    json = await parsed(jsonBody.schema, json);
  }
  const untold = problems.length - MAX_PROBLEMS;
  throwIfAny(untold <= 0 ? problems : [
    ...problems.slice(0, MAX_PROBLEMS), { code: 'invalid_request', message: `${untold} more of the kind` },
  ]);
  return { ...input, body: json, context } as unknown as Input<Route>;
}

/** A parameter that comes once is text, one that comes again a list. */
function queryOf(context: ApiContext): Record<string, string | string[]> {
  const queries = Object.entries(context.req.queries());
  return Object.fromEntries(queries.map(([name, values]) => [name, values.length === 1 ? values[0] as string : values]));
}

function answerError(context: ApiContext, error: SlicerError): Response {
  const { incoming } = context.env;
  if (!incoming.complete) takeRest(incoming);
  if (error.code === 'unauthorized') context.header('WWW-Authenticate', 'Bearer');
  return context.json(toErrorBody(error), error.status as ContentfulStatusCode);
}

/**
 * The rest of a body whose request was refused. A client that is cut off while it still sends loses the
 * answer (EPIPE, or a reset), so what it sends is dropped for a while.
 */
function takeRest(incoming: HttpBindings['incoming']): void {
  const timer = setTimeout(() => incoming.socket.destroy(), LINGER_MS);
  incoming.once('close', () => clearTimeout(timer));
  incoming.resume();
}

/** Whether a request over TCP is for a name other than this machine's: programs say an address or localhost. */
function hasForeignHost({ headers, socket }: HttpBindings['incoming']): boolean {
  const name = (headers.host ?? '').replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
  // A Unix socket has no address, and no page reaches it.
  return socket.remoteAddress !== undefined && name.toLowerCase() !== 'localhost' && isIP(name) === 0;
}

const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll('.', '\\.').replace(/:[^/]+/g, '[^/]+')}$`);
