// Firecracker without a guest's machine: a program with its command line, its API on a real socket, and
// its VSOCK device. What runs in its place of a guest is a wire agent. The first argument says how it
// misbehaves; see `FakeOptions`.
import { appendFileSync, chmodSync, existsSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { VsockDevice } from '../live/vsock-device.ts';
import { runGuest } from './fake-guest.ts';
import { FakeVm, Fault } from './fake-firecracker-vm.ts';

/** `die`: after the answer. `mute`: no answer. */
export type Misbehaviour = '400' | '500' | 'mute' | 'half' | 'garbage' | 'hang-up' | 'die' | 'die-before';

export interface FakeOptions {
  /** At which request, by its path, it does what. */
  readonly misbehaves?: { readonly at: string; readonly how: Misbehaviour };
  /** A file that gets each request as a line of JSON. */
  readonly requests?: string;
  /** Whether Ctrl+Alt+Del is taken and nothing follows. */
  readonly ignoresButton?: boolean;
}

/** Writes an executable `firecracker` into a directory and returns its path. */
export function fakeFirecracker(directory: string, options: FakeOptions = {}): string {
  const program = join(directory, 'firecracker');
  const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
  const command = [process.execPath, '--no-warnings', import.meta.filename, JSON.stringify(options)].map(quote).join(' ');
  writeFileSync(program, `#!/bin/sh\nexec ${command} "$@"\n`);
  chmodSync(program, 0o755);
  return program;
}

const PAYLOAD_MAX_BYTES = 51_200;
const EXIT_CODE = { argParsing: 153, generic: 1 } as const;

function main(optionsText: string, argv: string[]): void {
  const options = JSON.parse(optionsText) as FakeOptions;
  const { id, 'api-sock': socket } = readArguments(argv);
  const vm = new FakeVm(id, {
    start: (cmdline, device) => boot(cmdline, device),
    // The guest's init takes its time; the answer is out before.
    ctrlAltDel: () => void (options.ignoresButton === true || setTimeout(() => end('reboot: Restarting system'), 20)),
  });
  const server = createServer((incoming, answer) => void serve(incoming, answer, vm, options));
  server.on('error', () => {
    process.stdout.write(`Failed to open the API socket at: ${socket}. Check that it is not already used.\n`);
    process.exit(EXIT_CODE.generic);
  });
  server.listen(socket);
}

function readArguments(argv: string[]): { readonly id: string; readonly 'api-sock': string } {
  try {
    const { values } = parseArgs({
      args: argv, strict: true, allowPositionals: false,
      options: {
        id: { type: 'string', default: 'anonymous-instance' },
        'api-sock': { type: 'string', default: '/run/firecracker.socket' },
        level: { type: 'string' },
        'log-path': { type: 'string' },
      },
    });
    if (!/^[A-Za-z0-9-]{1,64}$/.test(values.id)) throw new Error('Invalid instance ID');
    if (values.level !== undefined && !/^(off|trace|debug|info|warn|warning|error)$/i.test(values.level)) throw new Error('Invalid value for logger level');
    return values;
  } catch (error) {
    process.stdout.write(`Arguments parsing error: ${(error as Error).message}\n\nFor more information try --help.\n`);
    process.exit(EXIT_CODE.argParsing);
  }
}

async function serve(incoming: IncomingMessage, answer: ServerResponse, vm: FakeVm, options: FakeOptions): Promise<void> {
  const { method = '', url = '' } = incoming;
  answer.sendDate = false;
  answer.setHeader('Server', 'Firecracker API');
  // micro_http looks at the length alone, and says its own errors in what is no JSON.
  const length = Number(incoming.headers['content-length'] ?? 0);
  if (length > PAYLOAD_MAX_BYTES) {
    return respond(answer, 400, `{ "error": "Request payload with size ${length} is larger than the limit of ${PAYLOAD_MAX_BYTES} allowed by server.\nAll previous unanswered requests will be dropped." }`);
  }
  const bytes = length === 0 ? undefined : await buffer(incoming);
  if (options.requests !== undefined) {
    appendFileSync(options.requests, `${JSON.stringify({ method, path: url, body: bytes === undefined ? undefined : JSON.parse(bytes.toString()) })}\n`);
  }
  const { misbehaves } = options;
  const how = misbehaves?.at === url ? misbehaves.how : undefined;
  if (how !== undefined && how !== 'die') return misbehave(answer, how);
  try {
    const value = await handle(vm, method, url, bytes);
    if (value === undefined) answer.writeHead(204).end();
    else respond(answer, 200, JSON.stringify(value));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    respond(answer, 400, JSON.stringify({ fault_message: error.message }));
  }
  if (how === 'die') answer.on('close', () => process.exit(EXIT_CODE.generic));
}

async function handle(vm: FakeVm, method: string, path: string, bytes: Buffer | undefined): Promise<object | undefined> {
  if (method === 'GET') {
    if (bytes !== undefined) throw new Fault('GET request cannot have a body.');
    return vm.get(path);
  }
  if (method !== 'PUT') throw new Fault(`Invalid request method and/or path: ${method} ${path.slice(1)}.`);
  if (bytes === undefined) throw new Fault('Empty PUT request.');
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString());
  } catch {
    throw new Fault('An error occurred when deserializing the json body of a request: expected value at line 1 column 1.');
  }
  await vm.put(path, body);
  return undefined;
}

function misbehave(answer: ServerResponse, how: Exclude<Misbehaviour, 'die'>): void {
  switch (how) {
    case '400': return respond(answer, 400, JSON.stringify({ fault_message: 'Start microvm error: not today.' }));
    case '500': return respond(answer, 500, 'Resource temporarily unavailable (os error 11)');
    case 'mute': return;
    case 'half':
      answer.socket?.end('HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Length: 1000\r\n\r\n{"fault_');
      return;
    case 'garbage':
      answer.socket?.end('SSH-2.0-OpenSSH_9.2\r\n');
      return;
    case 'hang-up':
      answer.socket?.destroy();
      return;
    case 'die-before': process.exit(EXIT_CODE.generic);
  }
}

function respond(answer: ServerResponse, status: number, body: string): void {
  answer.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }).end(body);
}

/** What a guest's kernel writes to its console, and then the guest. */
function boot(cmdline: string, device: VsockDevice | undefined): void {
  process.stdout.write(`[    0.000000] Command line: ${cmdline} pci=off\r\n`);
  if (device === undefined) return;
  runGuest(device, () => end('reboot: Restarting system'));
}

function end(lastLine: string): void {
  process.stdout.write(`[    9.000000] ${lastLine}\r\n`, () => process.exit(0));
}

if (process.argv[1] === import.meta.filename && existsSync(import.meta.filename)) {
  const [, , options = '{}', ...argv] = process.argv;
  main(options, argv);
}
