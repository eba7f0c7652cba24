// A Cloud Hypervisor, real or fake, that runs as its driver plans it, and what it refuses: the fake is held
// to the same as the real one.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Vmm, VmSpec } from '../../src/vmm/contract.ts';

export interface RunningCloudHypervisor {
  readonly process: ChildProcess;
  /** All that it wrote: the guest's console, and what goes to its standard error. */
  output(): string;
  errors(): string;
  /** Resolves with the exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Resolves when the console has what fits. */
  wrote(pattern: RegExp): Promise<void>;
}

/** Resolves when it listens; it ends with the test, and so does the directory that its sockets are in. */
export async function runCloudHypervisor(t: TestContext, vmm: Vmm, spec: VmSpec, directory: string): Promise<RunningCloudHypervisor> {
  const [plan] = vmm.plan(spec);
  const process = spawn(plan!.program, plan!.argv, { stdio: ['ignore', 'pipe', 'pipe'], env: {} });
  let [output, errors] = ['', ''];
  let look = (): void => undefined;
  process.stdout.on('data', (chunk) => {
    output += String(chunk);
    look();
  });
  process.stderr.on('data', (chunk) => (errors += String(chunk)));
  const ended = once(process, 'close').then(([code]) => code as number | null);
  t.after(async () => {
    process.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true });
  });
  await untilListening(spec.sockets.control);
  return {
    process, ended,
    output: () => output,
    errors: () => errors,
    wrote: (pattern) => new Promise((resolve, reject) => {
      look = () => void (pattern.test(output) && resolve());
      void ended.then((code) => reject(new Error(`cloud-hypervisor ended with ${code} and had written: ${output}${errors}`)));
      look();
    }),
  };
}

/** Its socket is there before anybody listens on it, of which no event tells. */
async function untilListening(path: string): Promise<void> {
  for (;;) {
    const socket = connect(path);
    const listens = await once(socket, 'connect').then(() => true, () => false);
    socket.destroy();
    if (listens) return;
    await delay(5);
  }
}

async function ask(socketPath: string, method: string, path: string, body: string): Promise<[number, string]> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { 'Content-Length': Buffer.byteLength(body) };
    request({ socketPath, method, path: `/api/v1/${path}`, headers, agent: false }, resolve).on('error', reject).end(body);
  });
  return [incoming.statusCode as number, await text(incoming)];
}

const EMPTY_OF = (bytes: number): string => `{}${' '.repeat(bytes - 2)}`;

/** Each request of one that was told nothing yet, in this order, with its answer. */
const REFUSALS: readonly [string, string, string, number, RegExp][] = [
  ['GET', 'vmm.ping', '', 200, /^\{"build_version":"[^"]+","version":"[0-9.]+","pid":\d+,"features":\[/],
  ['PUT', 'vm.boot', '', 404, /^\["Error from API","The VM could not boot","VM config is missing"\]$/],
  ['PUT', 'vm.power-button', '', 500, /^\["Error from API","Error triggering power button","VM is not running"\]$/],
  ['PUT', 'vm.add-net', '{"num_queues":2}', 404, /^\["Error from API","The network device could not be added to the VM","VM is not created"\]$/],
  ['PUT', 'vm.nothing', '', 404, /^\["Not Found"\]$/],
  ['GET', 'vm.boot', '', 400, /^\["Bad Request"\]$/],
  ['PUT', 'vm.boot', '{}', 400, /^\["Bad Request"\]$/],
  ['PUT', 'vm.create', '', 400, /^$/],
  ['PUT', 'vm.create', '{', 400, /^\["Failed to deserialize JSON",/],
  // It quotes what it can't use, a value as well.
  ['PUT', 'vm.create', '{"platform":{"oem_strings":"a value"}}', 400, /^\["Failed to deserialize JSON","invalid type: string \\"a value\\", expected /],
  ['PUT', 'vm.create', EMPTY_OF(51_201), 400, /size 51201 is larger than the limit of 51200 allowed by server/],
  ['PUT', 'vm.create', EMPTY_OF(51_200), 204, /^$/],
  ['PUT', 'vm.create', '{}', 500, /^\["Error from API","The VM could not be created","VM is already created"\]$/],
  ['PUT', 'vm.boot', '', 500, /^\["Error from API","The VM could not boot","Failed to validate config",.*"No bootitem provided: neither firmware nor kernel"\]$/],
  ['PUT', 'vmm.shutdown', '', 200, /^$/],
];

/** Asserts what a Cloud Hypervisor that was told nothing yet refuses, and the limits that it has. It ends it. */
export async function assertRefusals(socketPath: string): Promise<void> {
  for (const [method, path, body, status, message] of REFUSALS) {
    const [got, said] = await ask(socketPath, method, path, body);
    assert.equal(got, status, `${path} ${body.slice(0, 100).trim()}: ${said}`);
    assert.match(said, message);
  }
}
