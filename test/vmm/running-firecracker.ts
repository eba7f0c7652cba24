// A Firecracker, real or fake, that runs as its driver plans it, and what it refuses: the fake is held to
// the same as the real one.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { VmSpec } from '../../src/vmm/contract.ts';
import { firecrackerVmm } from '../../src/vmm/firecracker.ts';

export interface RunningFirecracker {
  readonly process: ChildProcess;
  /** All that it wrote, the guest's console with it. */
  output(): string;
  /** Resolves with the exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Resolves when it wrote what fits. */
  wrote(pattern: RegExp): Promise<void>;
}

/** Resolves when it listens; it ends with the test, and so does the directory that its sockets are in. */
export async function runFirecracker(t: TestContext, program: string, spec: VmSpec, directory: string): Promise<RunningFirecracker> {
  const [plan] = firecrackerVmm(program).plan(spec);
  const process = spawn(plan!.program, plan!.argv, { stdio: ['ignore', 'pipe', 'pipe'], env: {} });
  let output = '';
  let look = (): void => undefined;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('data', (chunk) => {
      output += String(chunk);
      look();
    });
  }
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
    wrote: (pattern) => new Promise((resolve, reject) => {
      look = () => void (pattern.test(output) && resolve());
      void ended.then((code) => reject(new Error(`firecracker ended with ${code} and had written: ${output}`)));
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

async function put(socketPath: string, path: string, body: string): Promise<[number, string]> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { 'Content-Length': Buffer.byteLength(body) };
    request({ socketPath, method: 'PUT', path, headers, agent: false }, resolve).on('error', reject).end(body);
  });
  return [incoming.statusCode as number, await text(incoming)];
}

const EMPTY_OF = (bytes: number): string => `{}${' '.repeat(bytes - 2)}`;

/** Each request of one that was told nothing yet, with its answer. */
const REFUSALS: readonly [string, string, number, RegExp][] = [
  ['/machine-config', '{"vcpu_count":1,"mem_size_mib":1,"x":1}', 400, /unknown field `x`/],
  ['/boot-source', '{"kernel_image_path":"/a","x":1}', 400, /unknown field `x`/],
  ['/boot-source', '{"kernel_image_path":"/not/there"}', 400, /Boot source error: The kernel file cannot be opened: No such file or directory \(os error 2\)/],
  ['/drives/a', '{"drive_id":"a","is_root_device":false,"x":1}', 400, /unknown field `x`/],
  ['/drives/a', '{"drive_id":"b","is_root_device":false}', 400, /The id from the path does not match the id from the body!/],
  ['/drives/a-b', '{"drive_id":"a-b","is_root_device":false}', 400, /can only contain alphanumeric characters and underscores/],
  ['/drives/a', '{"drive_id":"a","is_root_device":false,"path_on_host":"/not/there"}', 400, /Drive config error: .*No such file or directory/],
  ['/network-interfaces/a', '{"iface_id":"a","host_dev_name":"a","x":1}', 400, /unknown field `x`/],
  ['/vsock', '{"guest_cid":3,"uds_path":"/not/there/a","x":1}', 400, /unknown field `x`/],
  ['/vsock', '{"guest_cid":3,"uds_path":"/not/there/a"}', 400, /Vsock config error: Cannot create backend for vsock device: /],
  ['/balloon', '{"amount_mib":1,"deflate_on_oom":false,"x":1}', 400, /unknown field `x`/],
  ['/balloon', '{"amount_mib":129,"deflate_on_oom":false}', 400, /too large/],
  ['/entropy', '{"x":1}', 400, /unknown field `x`/],
  ['/entropy', '{', 400, /An error occurred when deserializing the json body of a request/],
  ['/entropy', '', 400, /Empty PUT request/],
  ['/nothing', '{}', 400, /Invalid request method and\/or path: PUT nothing/],
  ['/machine-config', '{"vcpu_count":33,"mem_size_mib":128}', 400, /The number of vCPUs must be greater than 0, less than 32/],
  ['/machine-config', '{"vcpu_count":32,"mem_size_mib":128}', 204, /^$/],
  ['/actions', '{"action_type":"InstanceStart"}', 400, /Cannot start microvm without kernel configuration/],
  ['/actions', '{"action_type":"SendCtrlAltDel"}', 400, /not supported before starting the microVM/],
  ['/actions', '{"action_type":"InstanceStart","x":1}', 400, /unknown field `x`/],
  ['/entropy', EMPTY_OF(51_200), 204, /^$/],
  ['/entropy', EMPTY_OF(51_201), 400, /size 51201 is larger than the limit of 51200/],
];

/** Asserts what a Firecracker that was told nothing yet refuses, and the limits that it has. */
export async function assertRefusals(socketPath: string): Promise<void> {
  for (const [path, body, status, message] of REFUSALS) {
    const [got, said] = await put(socketPath, path, body);
    assert.equal(got, status, `${path} ${body.slice(0, 100).trim()}: ${said}`);
    assert.match(said, message);
  }
}
