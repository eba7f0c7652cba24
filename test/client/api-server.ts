// A server that speaks the REST API over a real socket, with the routes and schemas of the product and
// state in memory. Commands run as child processes of this one. It stands in for a daemon in tests of
// the client and the CLI.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { Readable } from 'node:stream';
import { OpenAPIHono } from '@hono/zod-openapi';
import { createAdaptorServer } from '@hono/node-server';
import { HTTPException } from 'hono/http-exception';
import type { AuditRecord } from '../../src/api/audit.ts';
import { encodeBase64 } from '../../src/api/base64.ts';
import { toErrorBody } from '../../src/api/error-body.ts';
import { REQUEST_HEAD_MAX_BYTES } from '../../src/api/limits.ts';
import type { Node } from '../../src/api/nodes.ts';
import { problemsOf } from '../../src/api/problems.ts';
import { routes } from '../../src/api/routes.ts';
import type { Delivery, StoreState } from '../../src/api/secrets.ts';
import type { VmSecrets } from '../../src/api/vm.ts';
import { fail, type Problem, SlicerError } from '../../src/errors/slicer-error.ts';
import { type FileAttributes, formatPermissions } from '../../src/secret/file-attributes.ts';
import type { Secret } from '../../src/secret/secret.ts';

const CREATED_AT = '2025-12-08T11:12:00.000Z';

interface Held {
  value: Secret;
  attributes: FileAttributes;
}

export interface ApiServer {
  readonly secrets: Map<string, Held>;
  readonly nodes: Map<string, Node>;
  readonly groups: string[];
  /** What a change answers when it is asked to wait. */
  delivery: Delivery;
  store: StoreState;
  vmSecrets: VmSecrets[];
  audit: AuditRecord[];
  /** The query of each request for it. */
  readonly auditQueries: object[];
  console: string;
  /** Bodies of launches, as they were validated. */
  readonly launches: unknown[];
  /** The `wait` of each change, in milliseconds. */
  readonly waits: (number | undefined)[];
  readonly authorizations: (string | undefined)[];
  /** Emits each command's end as its exit code or signal. */
  readonly ended: EventTarget;
  listen(where: string | { port: number }): Promise<Server>;
  close(): Promise<void>;
}

export function createApiServer(options: { token?: string } = {}): ApiServer {
  const servers: Server[] = [];
  const server: ApiServer = {
    secrets: new Map(),
    nodes: new Map(),
    groups: ['web'],
    delivery: { holding: 0, running: 0, pending: [] },
    store: { skipped: [] },
    vmSecrets: [],
    audit: [],
    auditQueries: [],
    console: '',
    launches: [],
    waits: [],
    authorizations: [],
    ended: new EventTarget(),
    async listen(where) {
      const http = createAdaptorServer({
        fetch: createApp(server, options.token).fetch,
        serverOptions: { maxHeaderSize: REQUEST_HEAD_MAX_BYTES },
      }) as Server;
      servers.push(http);
      if (typeof where === 'string') http.listen(where);
      else http.listen(where.port, '127.0.0.1');
      await once(http, 'listening');
      return http;
    },
    async close() {
      for (const http of servers) {
        http.close();
        http.closeAllConnections();
      }
    },
  };
  return server;
}

export function node(hostname: string, changes: Partial<Node> = {}): Node {
  return {
    hostname, hostgroup: 'web', ip: '', created_at: CREATED_AT, arch: 'amd64', status: 'Running', tags: [], hypervisor: 'qemu', cpus: 1,
    ram_bytes: 256 * 1024 * 1024, secrets: 'all', credentials: [], attached: false, ...changes,
  };
}

function createApp(server: ApiServer, token: string | undefined): OpenAPIHono {
  const app = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw new SlicerError(problemsOf(result.error) as [Problem, ...Problem[]]);
    },
  });
  app.onError((error, context) => {
    const known =
      error instanceof SlicerError ? error
      : error instanceof HTTPException ? fail('invalid_request', 'the body is no JSON')
      : fail('internal', error.message);
    return context.json(toErrorBody(known), known.status as 500);
  });
  app.use(async (context, next) => {
    server.authorizations.push(context.req.header('authorization'));
    if (token !== undefined && context.req.header('authorization') !== `Bearer ${token}`) {
      throw fail('unauthorized', 'the token is missing or wrong', 'pass it with --token-file');
    }
    await next();
  });
  addSecrets(app, server);
  addNodes(app, server);
  addVm(app, server);
  return app;
}

function addSecrets(app: OpenAPIHono, server: ApiServer): void {
  const info = (name: string, { value, attributes }: Held) => ({
    name, size: value.sizeBytes, permissions: formatPermissions(attributes.mode), uid: attributes.uid, gid: attributes.gid,
    mod_time: CREATED_AT, modified_at: CREATED_AT,
  });
  const find = (name: string): Held => {
    const held = server.secrets.get(name);
    if (held === undefined) throw fail('secret_not_found', `there is no secret "${name}"`, 'slicer secret list');
    return held;
  };
  const delivered = (wait: number | undefined) => {
    server.waits.push(wait);
    return wait === undefined ? {} : { delivery: server.delivery };
  };
  app.openapi(routes.listSecrets, (context) => {
    const names = [...server.secrets.keys()].sort();
    return context.json(names.map((name) => info(name, find(name))), 200);
  });
  app.openapi(routes.createSecret, (context) => {
    const { name, ...held } = context.req.valid('json');
    if (server.secrets.has(name)) throw fail('secret_exists', `secret "${name}" exists`, `slicer secret update ${name}`);
    server.secrets.set(name, held);
    return context.json({ ...info(name, held), ...delivered(context.req.valid('query').wait) }, 201);
  });
  app.openapi(routes.updateSecret, (context) => {
    const { name } = context.req.valid('param');
    const { value, ...attributes } = context.req.valid('json');
    const before = find(name);
    const held = { value: value ?? before.value, attributes: { ...before.attributes, ...attributes } };
    server.secrets.set(name, held);
    return context.json({ ...info(name, held), ...delivered(context.req.valid('query').wait) }, 200);
  });
  app.openapi(routes.removeSecret, (context) => {
    const { name } = context.req.valid('param');
    find(name);
    server.secrets.delete(name);
    return context.json({ name, ...delivered(context.req.valid('query').wait) }, 200);
  });
  app.openapi(routes.storeState, (context) => context.json(server.store, 200));
}

function addNodes(app: OpenAPIHono, server: ApiServer): void {
  app.openapi(routes.audit, (context) => {
    server.auditQueries.push(context.req.valid('query'));
    return context.body(server.audit.map((record) => `${JSON.stringify(record)}\n`).join(''), 200, { 'Content-Type': 'application/x-ndjson' }) as never;
  });
  app.openapi(routes.info, (context) => context.json({ version: '0.1.0', git_commit: 'abc', platform: 'linux' as const, arch: 'amd64' as const }, 200));
  app.openapi(routes.listGroups, (context) =>
    context.json(server.groups.map((name) => ({ name, count: 0, ram_bytes: 1024, cpus: 1, gpu_count: 0, arch: 'amd64' })), 200));
  const matching = (query: { tag?: string | undefined; tag_prefix?: string | undefined }): Node[] =>
    [...server.nodes.values()].filter(
      ({ tags }) =>
        (query.tag === undefined || tags.includes(query.tag)) &&
        (query.tag_prefix === undefined || tags.some((tag) => tag.startsWith(query.tag_prefix as string))),
    );
  app.openapi(routes.listNodes, (context) => context.json(matching(context.req.valid('query')), 200));
  app.openapi(routes.listGroupNodes, (context) => {
    const { name } = context.req.valid('param');
    if (!server.groups.includes(name)) throw fail('group_not_found', `there is no host group "${name}"`);
    return context.json(matching(context.req.valid('query')).filter(({ hostgroup }) => hostgroup === name), 200);
  });
  app.openapi(routes.launchNode, (context) => {
    const { name } = context.req.valid('param');
    if (!server.groups.includes(name)) throw fail('group_not_found', `there is no host group "${name}"`);
    const body = context.req.valid('json');
    server.launches.push({ ...body, ...context.req.valid('query') });
    for (const secret of body.secrets ?? []) {
      if (!server.secrets.has(secret)) throw fail('secret_not_found', `there is no secret "${secret}"`, 'slicer secret list');
    }
    const launched = node(`${name}-${server.nodes.size + 1}`, {
      hostgroup: name, secrets: body.secrets ?? 'all', tags: body.tags ?? [],
      credentials: (body.credentials ?? []).map((credential) => ({ name: credential.name, secret: credential.secret, deliver: credential.deliver ?? 'boot' })),
    });
    server.nodes.set(launched.hostname, launched);
    return context.json(launched, 201);
  });
  app.openapi(routes.attachNode, (context) => {
    const { hostname, secrets = 'all' } = context.req.valid('json');
    const attached = node(hostname, { hostgroup: '', attached: true, hypervisor: '', cpus: 0, ram_bytes: 0, secrets });
    server.nodes.set(hostname, attached);
    return context.json(attached, 201);
  });
  app.openapi(routes.deleteNode, (context) => {
    const { hostname } = context.req.valid('param');
    if (!server.nodes.delete(hostname)) throw fail('vm_not_found', `there is no vm "${hostname}"`, 'slicer vm list');
    return context.json({ message: 'Node deleted', disk_removed: 'true' as const }, 200);
  });
}

function addVm(app: OpenAPIHono, server: ApiServer): void {
  const find = (hostname: string): void => {
    if (!server.nodes.has(hostname)) throw fail('vm_not_found', `there is no vm "${hostname}"`, 'slicer vm list');
  };
  app.openapi(routes.listNodeSecrets, (context) => context.json(server.vmSecrets, 200));
  app.openapi(routes.vmSecrets, (context) => {
    const { hostname } = context.req.valid('param');
    const found = server.vmSecrets.find((vm) => vm.hostname === hostname);
    if (found === undefined) throw fail('vm_not_found', `there is no vm "${hostname}"`, 'slicer vm list');
    return context.json(found, 200);
  });
  app.openapi(routes.vmLogs, (context) => {
    const { hostname } = context.req.valid('param');
    find(hostname);
    const { lines = 20 } = context.req.valid('query');
    const all = server.console.split('\n').slice(0, -1);
    const last = lines === 0 ? all : all.slice(-lines);
    return context.json({ hostname, lines: last.length, content: last.map((line) => `${line}\n`).join('') }, 200);
  });
  app.openapi(routes.vmHealth, (context) => {
    const { hostname } = context.req.valid('param');
    find(hostname);
    return context.json({ hostname, agent_uptime: 4_200_000_000, agent_version: '0.1.0', system_uptime: 5_000_000_000, userdata_ran: false }, 200);
  });
  app.openapi(routes.exec, (context) => {
    find(context.req.valid('param').hostname);
    const { argv, env, cwd, stdin, stdio } = context.req.valid('query');
    const [program, ...args] = argv as [string, ...string[]];
    const child = spawn(program, args, { cwd, env: { ...process.env, ...Object.fromEntries(env.map((entry) => entry.split(/=(.*)/s))) }, stdio: 'pipe' });
    if (stdin && context.req.raw.body !== null) Readable.fromWeb(context.req.raw.body as never).on('error', () => {}).pipe(child.stdin);
    else child.stdin.end();
    child.stdin.on('error', () => {});
    const encoded = (data: Buffer) => (stdio === 'base64' ? { text: encodeBase64(data), encoding: stdio } : { text: data.toString('utf8') });
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        const send = (frame: object): void => controller.enqueue(encoder.encode(`${JSON.stringify({ timestamp: CREATED_AT, ...frame })}\n`));
        child.on('spawn', () => send({ type: 'started', pid: child.pid }));
        for (const name of ['stdout', 'stderr'] as const) {
          child[name].on('data', (data: Buffer) => {
            const { text, ...rest } = encoded(data);
            send({ type: name, [name]: text, ...rest });
          });
        }
        child.on('error', (error) => {
          send({ type: 'error', error: error.message, code: 'exec_failed' });
          controller.close();
        });
        child.on('close', (code, signal) => {
          server.ended.dispatchEvent(new CustomEvent('ended', { detail: signal ?? code }));
          try {
            send({ type: 'exit', exit_code: code ?? 128 });
            controller.close();
          } catch {
            // Nobody listens any more.
          }
        });
      },
      cancel() {
        child.kill('SIGKILL');
      },
    });
    return context.body(body, 200, { 'content-type': 'application/x-ndjson' }) as never;
  });
}
