// Every route of the REST API: method, path, what a request may hold and what comes back. The daemon
// attaches a handler to each; openapi.ts describes them.
import { createRoute, z } from '@hono/zod-openapi';
import { auditQuery, auditRecord } from './audit.ts';
import { errorAnswers } from './error-schema.ts';
import { execFrame, execQuery, execResult } from './exec.ts';
import { hostInfo, liveness } from './host.ts';
import {
  deletedNode, groupNodePath, groupPath, hostGroup, launchBody, launchQuery, node, nodePath, nodesQuery, attachBody,
} from './nodes.ts';
import {
  changedSecret, changeQuery, createSecretBody, removedSecret, secretInfo, secretPath, storeState, updateSecretBody,
} from './secrets.ts';
import { logsQuery, vmHealth, vmLogs, vmSecrets } from './vm.ts';

const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

const body = <Schema extends z.ZodType>(schema: Schema, required: boolean) => ({
  body: { content: { 'application/json': { schema } }, required },
});

const stdin = z.string().openapi({ format: 'binary', description: "The command's stdin, with `stdin=true`" });

/** Any request can have a parameter that is unknown. */
const common = ['invalid_request', 'unauthorized', 'forbidden', 'internal', 'shutting_down'] as const;
const storeChange = ['store_not_private', 'store_not_writable', 'store_full', 'audit_not_writable'] as const;
const agentCall = ['vm_not_found', 'vm_not_running', 'too_many_requests', 'agent_not_ready', 'agent_unreachable', 'agent_protocol'] as const;

export const routes = {
  listSecrets: createRoute({
    method: 'get', path: '/secrets', tags: ['secrets'], summary: 'List secrets, by name',
    responses: { 200: json(secretInfo.array(), 'All secrets, without their values'), ...errorAnswers(...common) },
  }),
  createSecret: createRoute({
    method: 'post', path: '/secrets', tags: ['secrets'], summary: 'Create a secret',
    request: { query: changeQuery, ...body(createSecretBody, true) },
    responses: {
      201: json(changedSecret, 'Created; `delivery` is there when `wait` was asked for'),
      ...errorAnswers('invalid_name', 'invalid_base64', 'invalid_permissions', 'invalid_owner',
        'value_too_large', 'body_too_large', 'secret_exists', ...storeChange, ...common),
    },
  }),
  updateSecret: createRoute({
    method: 'patch', path: '/secrets/{name}', tags: ['secrets'], summary: 'Change the value, mode or owner of a secret',
    request: { params: secretPath, query: changeQuery, ...body(updateSecretBody, true) },
    responses: {
      200: json(changedSecret, 'Changed; `delivery` is there when `wait` was asked for'),
      ...errorAnswers('invalid_name', 'invalid_base64', 'invalid_permissions', 'invalid_owner', 'empty_value',
        'value_too_large', 'body_too_large', 'secret_not_found', ...storeChange, ...common),
    },
  }),
  removeSecret: createRoute({
    method: 'delete', path: '/secrets/{name}', tags: ['secrets'], summary: 'Remove a secret from the store and from every VM',
    request: { params: secretPath, query: changeQuery },
    responses: {
      200: json(removedSecret, 'Removed; `delivery` is there when `wait` was asked for'),
      ...errorAnswers('invalid_name', 'secret_not_found', ...storeChange, ...common),
    },
  }),
  storeState: createRoute({
    method: 'get', path: '/store', tags: ['secrets'], summary: 'Files of the store that are not served, and why',
    responses: { 200: json(storeState, 'The state of the store'), ...errorAnswers(...common) },
  }),

  info: createRoute({
    method: 'get', path: '/info', tags: ['daemon'], summary: 'Version and platform',
    responses: { 200: json(hostInfo, 'The daemon'), ...errorAnswers(...common) },
  }),
  healthz: createRoute({
    method: 'get', path: '/healthz', tags: ['daemon'], summary: 'Liveness; needs no token', security: [],
    // Who asks for liveness adds parameters of its own, against caches say.
    request: { query: z.looseObject({}) },
    responses: { 200: json(liveness, 'The daemon answers') },
  }),

  metrics: createRoute({
    method: 'get', path: '/metrics', tags: ['daemon'], summary: 'Metrics for Prometheus',
    responses: {
      200: { description: "Prometheus' text format, version 0.0.4", content: { 'text/plain': { schema: z.string() } } },
      ...errorAnswers(...common),
    },
  }),
  audit: createRoute({
    method: 'get', path: '/audit', tags: ['daemon'], summary: 'The audit log, oldest first',
    request: { query: auditQuery },
    responses: {
      200: { description: 'JSON lines, one record each', content: { 'application/x-ndjson': { schema: auditRecord } } },
      ...errorAnswers(...common),
    },
  }),

  listGroups: createRoute({
    method: 'get', path: '/hostgroup', tags: ['nodes'], summary: 'List host groups',
    responses: { 200: json(hostGroup.array(), 'In the order of the configuration'), ...errorAnswers(...common) },
  }),
  listGroupNodes: createRoute({
    method: 'get', path: '/hostgroup/{name}/nodes', tags: ['nodes'], summary: 'List the nodes of a host group',
    request: { params: groupPath, query: nodesQuery },
    responses: { 200: json(node.array(), 'By number'), ...errorAnswers('group_not_found', ...common) },
  }),
  launchNode: createRoute({
    method: 'post', path: '/hostgroup/{name}/nodes', tags: ['nodes'], summary: 'Launch a VM',
    request: { params: groupPath, query: launchQuery, ...body(launchBody, false) },
    responses: {
      201: json(node, 'Launched'),
      ...errorAnswers('invalid_name', 'empty_value', 'body_too_large', 'value_too_large', 'group_not_found', 'secret_not_found', 'wait_timeout',
        'launch_failed', 'vsock_port_taken', 'missing_part', 'no_memory_file_system', 'store_not_private', 'store_not_writable', 'audit_not_writable', ...common),
    },
  }),
  deleteGroupNode: createRoute({
    method: 'delete', path: '/hostgroup/{name}/nodes/{hostname}', tags: ['nodes'], summary: 'Stop a VM and remove what it left',
    request: { params: groupNodePath },
    responses: { 200: json(deletedNode, 'Deleted'), ...errorAnswers('group_not_found', 'vm_not_found', ...common) },
  }),
  listNodes: createRoute({
    method: 'get', path: '/nodes', tags: ['nodes'], summary: 'List all nodes',
    request: { query: nodesQuery },
    responses: { 200: json(node.array(), 'By group and number; attached VMs last'), ...errorAnswers(...common) },
  }),
  attachNode: createRoute({
    method: 'post', path: '/nodes', tags: ['nodes'], summary: 'Serve secrets to a VM that something else started',
    request: body(attachBody, true),
    responses: {
      201: json(node, 'Attached'),
      ...errorAnswers('invalid_name', 'body_too_large', 'secret_not_found', 'vm_exists', 'already_running', 'audit_not_writable', ...common),
    },
  }),
  deleteNode: createRoute({
    method: 'delete', path: '/nodes/{hostname}', tags: ['nodes'],
    summary: 'Stop a VM and remove what it left, or let go of an attached one, which runs on',
    request: { params: nodePath },
    responses: { 200: json(deletedNode, 'Deleted, or no longer served'), ...errorAnswers('vm_not_found', ...common) },
  }),
  listNodeSecrets: createRoute({
    method: 'get', path: '/nodes/secrets', tags: ['vm'], summary: 'For every VM and secret, whether the newest value is there',
    responses: { 200: json(vmSecrets.array(), 'In the order of /nodes'), ...errorAnswers(...common) },
  }),

  vmSecrets: createRoute({
    method: 'get', path: '/vm/{hostname}/secrets', tags: ['vm'], summary: 'For every secret of a VM, whether the newest value is there',
    request: { params: nodePath },
    responses: { 200: json(vmSecrets, 'By name'), ...errorAnswers('vm_not_found', ...common) },
  }),
  vmLogs: createRoute({
    method: 'get', path: '/vm/{hostname}/logs', tags: ['vm'], summary: 'The console log',
    request: { params: nodePath, query: logsQuery },
    responses: { 200: json(vmLogs, 'The last lines'), ...errorAnswers('vm_not_found', ...common) },
  }),
  vmHealth: createRoute({
    method: 'get', path: '/vm/{hostname}/health', tags: ['vm'], summary: 'Ask the agent (HEAD too, for the status alone)',
    request: { params: nodePath },
    responses: { 200: json(vmHealth, 'The agent answers'), ...errorAnswers(...agentCall, ...common) },
  }),
  exec: createRoute({
    method: 'post', path: '/vm/{hostname}/exec', tags: ['vm'], summary: 'Run a command in a VM, its stdin the body',
    request: { params: nodePath, query: execQuery, body: { content: { 'application/octet-stream': { schema: stdin } } } },
    responses: {
      200: {
        description: 'JSON lines while the command runs; one object with `buffered`',
        content: { 'application/x-ndjson': { schema: execFrame }, 'application/json': { schema: execResult } },
      },
      ...errorAnswers('invalid_owner', 'exec_failed', 'audit_not_writable', ...agentCall, ...common),
    },
  }),
} as const;
