// A daemon in a directory of its own, behind a real Unix socket and a real TCP port, with guests that speak
// the wire; and requests to it.
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { Config, HostGroup } from '../../src/config/config.ts';
import { startDaemon, type Daemon, type DaemonOptions } from '../../src/daemon/daemon.ts';
import type { Log } from '../../src/daemon/log.ts';
import { LIVE_LIMITS } from '../../src/live/limits.ts';
import { VsockDevice } from '../live/vsock-device.ts';
import { WireAgent } from '../live/wire-agent.ts';
import { requireDescribed } from './described.ts';
import { GuestVms } from './guest-vms.ts';

export const MIB = 1024 * 1024;

export const GROUP: HostGroup = {
  name: 'web', count: 0, vcpu: 2, ramBytes: 256 * MIB, userdata: undefined, image: { kind: 'tiny' }, kernelFile: undefined,
  vmm: { hypervisor: 'qemu', machine: 'q35' }, network: 'none', secrets: 'all', credentials: [], tags: [],
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: any;
  readonly text: string;
}

export interface Options {
  readonly groups?: readonly HostGroup[];
  readonly auth?: boolean;
  readonly keepVms?: boolean;
  readonly vms?: GuestVms;
  readonly directory?: string;
  readonly inventory?: DaemonOptions['inventory'];
  readonly config?: (config: Config) => Config;
}

export interface Bench {
  readonly daemon: Daemon;
  readonly vms: GuestVms;
  readonly directory: string;
  readonly socket: string;
  readonly tcp: string;
  readonly tokenFile: string;
  readonly log: string[];
  /** A request over the Unix socket; a body that is no text or bytes goes as JSON. */
  api(method: string, path: string, body?: unknown, headers?: OutgoingHttpHeaders): Promise<Answer>;
  /** A VM that something else started: its device and agent, attached under this name. */
  attach(hostname: string, secrets?: readonly string[]): Promise<WireAgent>;
}

export function memoryLog(lines: string[]): Log {
  return pino({ level: 'debug', base: null }, { write: (line: string) => void lines.push(line) });
}

/** A directory that goes with the test. */
export function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'slicer-daemon-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

export async function bench(t: TestContext, options: Options = {}): Promise<Bench> {
  const directory = options.directory ?? directoryFor(t);
  const vms = options.vms ?? new GuestVms(directory);
  const socket = join(directory, 'slicer.sock');
  const tokenFile = join(directory, 'auth', 'token');
  const log: string[] = [];
  const config: Config = {
    hostGroups: options.groups ?? [GROUP],
    secretsDir: join(directory, '.secrets'),
    api: { unix: { path: socket, group: undefined }, tcp: { address: '127.0.0.1', port: 0 }, auth: { enabled: options.auth ?? true, tokenFile }, sockets: [], tokens: [] },
    audit: { path: join(directory, '.slicer', 'audit.log'), maxBytes: 64 * MIB, keep: 3 },
  };
  const machine: DaemonOptions['machine'] = {
    openVms: async () => vms,
    guestImage: async ({ image }) => ({ kernel: '/kernel', initrd: `/${image.kind}`, cmdline: 'quiet', volumes: [], stopGraceMs: 0 }),
  };
  const daemon = await startDaemon(options.config?.(config) ?? config, {
    directory, keepVms: options.keepVms ?? false, log: memoryLog(log), machine,
    ...(options.inventory === undefined ? {} : { inventory: options.inventory }),
    // A guest of these tests has its session at once, or never.
    liveLimits: { ...LIVE_LIMITS, sessionMs: 100 },
  });
  t.after(async () => {
    await daemon.stop();
    await vms.stopAll();
  });
  const api: Bench['api'] = (method, path, body, headers) => call({ socketPath: socket }, method, path, body, headers);
  const attach: Bench['attach'] = async (hostname, secrets) => {
    const device = await VsockDevice.listen(join(directory, `${hostname}.vsock`));
    t.after(() => device.close());
    const answer = await api('POST', '/nodes', { hostname, vsock: device.path, ...(secrets === undefined ? {} : { secrets }) });
    if (answer.status !== 201) throw new Error(answer.text);
    return new WireAgent(device);
  };
  const tcp = daemon.urls.find((url) => url.startsWith('http')) ?? '';
  return { daemon, vms, directory, socket, tcp, tokenFile, log, api, attach };
}

export async function call(
  where: { socketPath: string } | string,
  method: string,
  path: string,
  body?: unknown,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  const incoming = await send(where, method, path, body, headers);
  const answer = await text(incoming);
  const [status, json] = [incoming.statusCode as number, parsed(answer)];
  if (status >= 400) requireDescribed(method, path, status, (json as { code?: unknown } | undefined)?.code);
  return { status, headers: incoming.headers, text: answer, body: json };
}

/** Resolves with the answer's head. */
export function send(
  where: { socketPath: string } | string,
  method: string,
  path: string,
  body?: unknown,
  headers: OutgoingHttpHeaders = {},
): Promise<IncomingMessage> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  const type = body === undefined || isRaw ? {} : { 'content-type': 'application/json' };
  const place = typeof where === 'string' ? { host: new URL(where).hostname, port: new URL(where).port } : where;
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...place, method, path, headers: { ...type, ...headers }, agent: false }, resolve);
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : isRaw ? body : JSON.stringify(body));
  });
}

export const base64 = (value: string): string => Buffer.from(value).toString('base64');

function parsed(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    return undefined;
  }
}
