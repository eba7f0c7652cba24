// A program that passes for Cloud Hypervisor v53 where that can't run: the same command line, the same HTTP
// over the same Unix socket, the same order of requests, limits and refusals, to which the tests hold both.
// In place of a guest it has a line on the console and, where it is sent a boot token, a wire agent; the
// power button ends it, and nothing restarts it. It can be told to misbehave, at any request, in ways that
// the real one should not.
//
// Where its behaviour is from: cloud-hypervisor/src/main.rs (command line, umask, exit codes, the socket and
// its lock at the end), vmm/src/api/http (answers), micro_http's server.rs and connection.rs (MAX_PAYLOAD_SIZE
// of 51,200 bytes, and how a longer body is answered), vmm/src/lib.rs (create stores, boot validates, the
// order of both), virtio-devices/src/vsock/unix (the socket).
import { appendFileSync, chmodSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { VsockDevice } from '../live/vsock-device.ts';
import { netConfig, refusalOf, typeError, vmConfig, type VmConfig } from './fake-cloud-hypervisor-config.ts';
import { runGuest } from './fake-guest.ts';

/** `echo`: status 400 that repeats the request. `die`: before an answer. `die-after`: after a good one. */
export type Fault = '400' | '500' | 'nothing' | 'half' | 'garbage' | 'echo' | 'die' | 'die-after';

export interface Misbehaviour {
  /** The last part of a request's path, such as `vm.create`, and what happens to it. */
  readonly faults?: Readonly<Record<string, Fault>>;
  /** Whether it writes all of its configuration to its standard error, as the real one does with `-v`. */
  readonly talkative?: boolean;
  /** Whether the power button does nothing, as where the guest does not listen. */
  readonly deafGuest?: boolean;
}

export interface InstalledFake {
  /** Absolute path, to be started in the place of `cloud-hypervisor`. */
  readonly program: string;
  /** The requests that were made so far, `PUT vm.create`, of all its processes. */
  requests(): string[];
}

/** Makes the program in a directory. What it is started with as environment changes nothing. */
export function installFakeCloudHypervisor(directory: string, misbehaviour: Misbehaviour = {}): InstalledFake {
  const program = join(directory, 'cloud-hypervisor');
  const control = join(directory, 'misbehaviour.json');
  const log = join(directory, 'requests.log');
  writeFileSync(control, JSON.stringify(misbehaviour));
  writeFileSync(log, '');
  const quoted = [process.execPath, import.meta.filename, control, log].map((word) => `'${word.replaceAll('\'', '\'\\\'\'')}'`);
  writeFileSync(program, `#!/bin/sh\nexec ${quoted.join(' ')} "$@"\n`);
  chmodSync(program, 0o755);
  return { program, requests: () => readFileSync(log, 'utf8').split('\n').slice(0, -1) };
}

const MAX_PAYLOAD_SIZE = 51_200;

function main(controlFile: string, logFile: string, argv: readonly string[]): void {
  const { faults = {}, talkative = false, deafGuest = false } = JSON.parse(readFileSync(controlFile, 'utf8')) as Misbehaviour;
  const [option, value, ...rest] = argv;
  if (option !== '--api-socket' || value === undefined || rest.length > 0) {
    process.stderr.write('error: unexpected argument found\n\nUsage: cloud-hypervisor [OPTIONS]\n');
    process.exit(2);
  }
  const path = socketPath(value);
  process.umask(0o077);
  closeSync(openSync(`${path}.lock`, 'a'));
  rmSync(path, { force: true });

  let config: VmConfig | undefined;
  let booted = false;
  const end = (code: number): void => {
    if (code === 0) rmSync(path, { force: true });
    // As the real one's muxer does; it is there only once the VM boots.
    if (booted && config?.vsock !== undefined) rmSync(config.vsock.socket, { force: true });
    process.exit(code);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(0));

  const actions: Actions = {
    'GET vmm.ping': () => ({ status: 200, body: { build_version: 'v53.0', version: '53.0.0', pid: process.pid, features: ['kvm'] } }),
    'GET vm.info': () => (config === undefined ? refuse(404, 'The VM info is not available', 'VM is not created') : { status: 200, body: { config } }),
    'PUT vm.create': (body) => {
      const parsed = vmConfig.safeParse(body);
      if (!parsed.success) return { status: 400, body: ['Failed to deserialize JSON', typeError(parsed.error, body)] };
      if (config !== undefined) return refuse(500, 'The VM could not be created', 'VM is already created');
      config = parsed.data;
      if (talkative) process.stderr.write(`INFO: ${JSON.stringify(config)}\n`);
      return { status: 204 };
    },
    'PUT vm.add-net': (body) => {
      const parsed = netConfig.safeParse(body);
      if (!parsed.success) return { status: 400, body: ['Failed to deserialize JSON', typeError(parsed.error, body)] };
      if (config === undefined) return refuse(404, 'The network device could not be added to the VM', 'VM is not created');
      config = { ...config, net: [...config.net ?? [], parsed.data] };
      return { status: 204 };
    },
    'PUT vm.boot': async () => {
      if (config === undefined) return refuse(404, 'The VM could not boot', 'VM config is missing');
      if (booted) return refuse(500, 'The VM could not boot', 'VM is already created');
      const refusal = refusalOf(config) ?? await startGuest(config);
      if (refusal !== undefined) return refuse(500, 'The VM could not boot', ...refusal);
      booted = true;
      process.stdout.write(`[    0.000000] Command line: ${config.payload?.cmdline}\r\n`);
      return { status: 204 };
    },
    'PUT vmm.shutdown': () => {
      setImmediate(() => end(0));
      return { status: 200 };
    },
    'PUT vm.power-button': () => {
      if (!booted) return refuse(500, 'Error triggering power button', 'VM is not running');
      if (!deafGuest) setImmediate(() => end(0));
      return { status: 204 };
    },
  };

  createServer((request, response) => {
    void (async () => {
      const name = (request.url ?? '').replace('/api/v1/', '');
      appendFileSync(logFile, `${request.method} ${name}\n`);
      if (Number(request.headers['content-length'] ?? 0) > MAX_PAYLOAD_SIZE) {
        return send(request, response, 400, `{ "error": "Request payload with size ${request.headers['content-length']} is larger than `
          + `the limit of ${MAX_PAYLOAD_SIZE} allowed by server.\nAll previous unanswered requests will be dropped." }`);
      }
      const text = await readBody(request);
      const fault = faults[name];
      if (fault !== undefined && fault !== 'die-after') return misbehave(fault, text, request, response);
      const { status, body } = await answerTo(actions, request.method ?? '', name, text);
      if (fault === 'die-after') response.on('finish', () => process.kill(process.pid, 'SIGKILL'));
      send(request, response, status, body === undefined ? undefined : JSON.stringify(body));
    })();
  }).listen(path);
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** By method and the last part of the path. */
type Actions = Readonly<Record<string, (body: unknown) => Answer | Promise<Answer>>>;

const refuse = (status: number, ...chain: string[]): Answer => ({ status, body: ['Error from API', ...chain] });

/** VmActionHandler: an action takes a body or none, and the other is a bad request. */
function answerTo(actions: Actions, method: string, name: string, text: string): Answer | Promise<Answer> {
  const action = actions[`${method} ${name}`];
  if (action === undefined) {
    const isKnown = Object.keys(actions).some((key) => key.endsWith(` ${name}`));
    return isKnown ? { status: 400, body: ['Bad Request'] } : { status: 404, body: ['Not Found'] };
  }
  if (text === '' && name === 'vm.create') return { status: 400 };
  if ((text !== '') !== ['vm.create', 'vm.add-net'].includes(name)) return { status: 400, body: ['Bad Request'] };
  try {
    return action(text === '' ? undefined : JSON.parse(text));
  } catch {
    return { status: 400, body: ['Failed to deserialize JSON', 'expected value at line 1 column 1'] };
  }
}

/** As micro_http writes it: with a length unless the status is 204, and never closing. */
function send(request: IncomingMessage, response: ServerResponse, status: number, body?: string): void {
  request.resume();
  response.sendDate = false;
  response.writeHead(status, '', {
    Server: 'Cloud Hypervisor API', Connection: 'keep-alive', 'Content-Type': 'application/json',
    ...(status === 204 ? {} : { 'Content-Length': Buffer.byteLength(body ?? '') }),
  });
  response.end(body);
}

function misbehave(fault: Fault, text: string, request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  switch (fault) {
    case '400': return send(request, response, 400, JSON.stringify(['Failed to deserialize JSON', 'unknown field']));
    case '500': return send(request, response, 500, JSON.stringify(['Error from API', 'The VM could not boot', 'Out of luck']));
    case 'echo': return send(request, response, 400, `invalid type: string "${text}", expected a map`);
    case 'nothing': return;
    case 'half': return void socket.end('HTTP/1.1 200 \r\nContent-Length: 100\r\n\r\n{"half":');
    case 'garbage': return void socket.end(`\x16\x03\x01${text}`);
    default: process.kill(process.pid, 'SIGKILL');
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

/** A guest that was sent no boot token has no agent: nobody listens there, and every connection ends at once. */
async function startGuest({ vsock, platform }: VmConfig): Promise<string[] | undefined> {
  if (vsock === undefined) return undefined;
  let device: VsockDevice;
  try {
    device = await VsockDevice.listen(vsock.socket);
  } catch {
    return [
      'Error from device manager', 'Cannot create virtio-vsock backend', 'Error binding to the host-side Unix socket',
      'Address already in use (os error 98)',
    ];
  }
  const prefix = 'io.systemd.credential.binary:slicer.boot-token=';
  const token = platform?.oem_strings?.find((text) => text.startsWith(prefix))?.slice(prefix.length);
  if (token !== undefined) runGuest(device, () => undefined, Buffer.from(token, 'base64').toString());
  return undefined;
}

/** OptionParser of the option_parser crate, for `path=`. */
function socketPath(value: string): string {
  const path = value.replace(/^path=/, '');
  return path.startsWith('"') ? path.slice(1, -1).replaceAll('""', '"') : path;
}

if (process.argv[1] === import.meta.filename) main(process.argv[2] as string, process.argv[3] as string, process.argv.slice(4));
