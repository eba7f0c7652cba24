// What `slicer run` costs before its VMM has its configuration, against a shell script that starts the same
// programs with the same arguments, and secrets in files.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findVhostDeviceVsock } from '../image/vhost-device-vsock.ts';
import { findTinyImage } from '../image/tiny.ts';
import type { Figure } from './figure.ts';
import { summarise } from './statistics.ts';

const ROUNDS = 15;
const SLICER = resolve(import.meta.dirname, '../bin/slicer');
const SECRETS = 10;
const LIMIT_MS = 150;

/** Both in turns, on the same files; the figure is the difference within a turn. */
export async function runOverheadFigure(): Promise<Figure> {
  const directory = mkdtempSync(join('/dev/shm', 'slicer-bench-run-'));
  const files = mkdtempSync(join(tmpdir(), 'slicer-bench-run-'));
  try {
    const { kernel, initrd, cmdline } = await findTinyImage();
    const names = Array.from({ length: SECRETS }, (_, index) => `s${index}`);
    for (const name of names) writeFileSync(join(files, name), randomBytes(1024).toString('hex'), { mode: 0o600 });
    const runtimeSecrets = Object.fromEntries(names.map((name) => [name, { secretPath: join(files, name) }]));
    const file = join(files, 'vm.json');
    writeFileSync(file, JSON.stringify({ name: 'bench', kernel, initrd, cmdline, mem: 256, vsock: { cid: 4242 }, runtimeSecrets }));
    const script = join(files, 'start');
    writeFileSync(script, scriptFor(execFileSync(SLICER, ['render', '--format=qemu-args', `--directory=${directory}/vm`, file], { stdio: ['ignore', 'pipe', 'ignore'] }).toString(), directory), { mode: 0o755 });
    const differences: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const reference = await scriptMs(script, join(directory, 'vm/control.sock'));
      differences.push(await runMs(file) - reference);
    }
    return { name: 'slicer run until QEMU has its configuration, over a shell script', unit: 'ms', limit: LIMIT_MS, by: 'p50', measured: summarise(differences) };
  } finally {
    rmSync(directory, { recursive: true });
    rmSync(files, { recursive: true });
  }
}

/** `args`: QEMU's, one a line and quoted. */
function scriptFor(args: string, directory: string): string {
  const vsock = `${findVhostDeviceVsock()} --guest-cid 4242 --socket ${directory}/vm/vhost.sock --uds-path ${directory}/vm/vm.vsock`;
  return `#!/bin/sh
rm -f ${directory}/vm/*.sock
${vsock} &
trap "kill $! \\$qemu" EXIT
trap exit TERM
while [ ! -S ${directory}/vm/vhost.sock ]; do sleep 0.005; done
qemu-system-x86_64 ${args.trim().split('\n').join(' ')} < /dev/null > /dev/null &
qemu=$!
wait
`;
}

async function scriptMs(script: string, control: string): Promise<number> {
  const begin = performance.now();
  const child = spawn(script, { stdio: 'ignore' });
  const socket = await qmp(control);
  await answered(socket, '{"execute":"qmp_capabilities"}');
  await answered(socket, '{"execute":"query-status"}');
  const tookMs = performance.now() - begin;
  socket.destroy();
  await ended(child);
  return tookMs;
}

async function qmp(path: string): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const isOpen = await new Promise<boolean>((settled) => {
      socket.once('connect', () => settled(true));
      socket.once('error', () => settled(false));
    });
    if (isOpen) {
      await once(socket, 'data');
      return socket;
    }
    await new Promise((wake) => setTimeout(wake, 2));
  }
}

async function answered(socket: Socket, command: string): Promise<void> {
  socket.write(`${command}\r\n`);
  await once(socket, 'data');
}

async function runMs(file: string): Promise<number> {
  const begin = performance.now();
  const child = spawn(process.execPath, [SLICER, 'run', '--stop-grace=0s', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  while (!said.includes('vm bench started')) {
    const [chunk] = await Promise.race([once(child.stderr, 'data'), once(child, 'exit').then(() => { throw new Error(`slicer run ended:\n${said}`); })]);
    said += String(chunk);
  }
  const tookMs = performance.now() - begin;
  await ended(child);
  return tookMs;
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}
