// A peer that speaks QMP over a real socket, to show what QEMU itself does only when it is broken.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { connectQmp } from '../../src/vmm/qmp.ts';

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}\r\n';

let directory: string;
let server: Server;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slicer-qmp-'));
  path = join(directory, 'qmp.sock');
});
afterEach(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

/** Serves one connection: greets, then answers each command with what `answer` says. */
async function serve(greeting: string, answer: (command: string, id: string, socket: Socket) => string): Promise<void> {
  server = createServer((socket) => {
    let text = '';
    socket.write(greeting);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      const lines = (text + chunk.toString()).split('\n');
      text = lines.pop() as string;
      for (const line of lines) {
        const { execute, id } = JSON.parse(line) as { execute: string; id: string };
        socket.write(answer(execute, id, socket));
      }
    });
  }).listen(path);
  await once(server, 'listening');
}

const agree = (_: string, id: string): string => `{"return": {}, "id": "${id}"}\r\n`;
const forever = new AbortController().signal;

test('a connection stands once QEMU took its capabilities, and passes the power button on', async () => {
  const commands: string[] = [];
  await serve(GREETING, (command, id) => {
    commands.push(command);
    return agree(command, id);
  });
  const control = await connectQmp({ control: path }, forever);
  await control.powerButton();
  assert.deepEqual(commands, ['qmp_capabilities', 'query-status', 'system_powerdown']);
  control.close();
  assert.equal(await control.ended, false);
});

for (const [reason, poweredOff] of [['guest-shutdown', true], ['host-signal', false]] as const) {
  test(`after a SHUTDOWN for ${reason} the end is ${poweredOff ? 'the guest\'s own' : 'not the guest\'s'}`, async () => {
    await serve(GREETING, (command, id, socket) => {
      if (command !== 'system_powerdown') return agree(command, id);
      socket.end(`{"event": "SHUTDOWN", "data": {"guest": true, "reason": "${reason}"}, "timestamp": {"seconds": 1}}\r\n`);
      return '';
    });
    const control = await connectQmp({ control: path }, forever);
    await assert.rejects(control.powerButton(), { message: 'qemu closed its control socket' });
    assert.equal(await control.ended, poweredOff);
  });
}

test('an event between a command and its answer is not the answer', async () => {
  await serve(GREETING, (command, id) => `{"event": "RTC_CHANGE", "data": {"offset": 0}}\r\n${agree(command, id)}`);
  (await connectQmp({ control: path }, forever)).close();
});

test('an answer in pieces is read whole', async () => {
  await serve(GREETING.slice(0, 20), (_, id) => `{"return": {}, "id": "${id}"}\r\n`);
  server.once('connection', (socket: Socket) => setImmediate(() => socket.write(GREETING.slice(20))));
  (await connectQmp({ control: path }, forever)).close();
});

test('a command that QEMU refuses says why', async () => {
  await serve(GREETING, (_, id) => `{"error": {"class": "GenericError", "desc": "not now"}, "id": "${id}"}\r\n`);
  await assert.rejects(connectQmp({ control: path }, forever), { code: 'launch_failed', message: 'qemu refused a command: not now' });
});

for (const [what, greeting] of [
  ['text that is no JSON', 'SSH-2.0-OpenSSH\r\n'],
  ['JSON that is no message', '{"hello": 1}\r\n'],
  ['a line without end', 'x'.repeat(80_000)],
] as const) {
  test(`${what} ends the connection with an error that does not quote it`, async () => {
    await serve(greeting, agree);
    await assert.rejects(connectQmp({ control: path }, forever), /^SlicerError: expected QMP from qemu, got a line/);
  });
}

test('a VMM that closes before it greets is an error', async () => {
  await serve('', agree);
  server.once('connection', (socket: Socket) => socket.end());
  await assert.rejects(connectQmp({ control: path }, forever), { message: 'qemu closed its control socket' });
});

test('a VMM that never greets is waited for until the signal says otherwise', async () => {
  await serve('', agree);
  const abort = new AbortController();
  server.once('connection', () => abort.abort(new Error('enough')));
  await assert.rejects(connectQmp({ control: path }, abort.signal), { message: 'enough' });
});

test('a VSOCK device is asked out again and again, and its process started between what frees and what takes the socket', async () => {
  const steps: string[] = [];
  const refusals: Record<string, object[]> = {
    device_del: [{}, { class: 'GenericError', desc: 'Device vsock-device is already in the process of unplug' }, { class: 'DeviceNotFound', desc: 'Device \'vsock-device\' not found' }],
    'chardev-remove': [{ class: 'GenericError', desc: 'Chardev \'vsock\' is busy' }],
  };
  await serve(GREETING, (command, id) => {
    steps.push(command);
    const refusal = refusals[command]?.shift() ?? {};
    return Object.keys(refusal).length === 0 ? agree(command, id) : `${JSON.stringify({ error: refusal, id })}\r\n`;
  });
  const control = await connectQmp({ control: path }, forever);
  await control.replugVsock?.('/run/vhost.sock', async () => void steps.push('process'), forever);
  assert.deepEqual(steps.slice(2), [
    'device_del', 'device_del', 'device_del', 'chardev-remove', 'chardev-remove', 'process', 'chardev-add', 'device_add',
  ]);
  control.close();
});

test('a VSOCK device that was taken out and not put back, by one who was killed meanwhile, is put back', async () => {
  const steps: string[] = [];
  await serve(GREETING, (command, id) => {
    steps.push(command);
    if (command === 'device_del') return `${JSON.stringify({ error: { class: 'DeviceNotFound', desc: 'none' }, id })}\r\n`;
    if (command === 'chardev-remove') return `${JSON.stringify({ error: { class: 'GenericError', desc: 'Chardev \'vsock\' not found' }, id })}\r\n`;
    return agree(command, id);
  });
  const control = await connectQmp({ control: path }, forever);
  await control.replugVsock?.('/run/vhost.sock', async () => undefined, forever);
  assert.deepEqual(steps.slice(2), ['device_del', 'chardev-remove', 'chardev-add', 'device_add']);
  control.close();
});

test('a wait for the guest to let go of its device ends with the signal, and with QEMU', async () => {
  const abort = new AbortController();
  await serve(GREETING, (command, id, socket) => {
    if (command === 'device_del') abort.abort(new Error('enough'));
    if (command === 'system_powerdown') socket.destroy();
    return agree(command, id);
  });
  const control = await connectQmp({ control: path }, forever);
  await assert.rejects(async () => control.replugVsock?.('/run/vhost.sock', async () => undefined, abort.signal), { message: 'enough' });
  const waiting = control.replugVsock?.('/run/vhost.sock', async () => undefined, forever);
  void control.powerButton().catch(() => undefined);
  await assert.rejects(async () => waiting, { code: /launch_failed|vm_not_running/ });
});
