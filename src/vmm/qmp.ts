// QEMU's machine protocol (QMP, docs/interop/qmp-spec in QEMU): one JSON object a line over a Unix
// socket. QEMU is not trusted further than to run its VM: lines are bounded, parsed by a schema, and
// what does not fit ends the connection.
import { connect, type Socket } from 'node:net';
import * as z from 'zod';
import { fail } from '../errors/slicer-error.ts';
import { atOwnedSocket } from '../socket/owned-socket.ts';
import type { VmmControl, VmSockets } from './contract.ts';
import { replugVsock, type QmpRefusal } from './qemu-vsock.ts';
import { printable } from './vmm-api.ts';

const LINE_MAX_BYTES = 64 * 1024;

const message = z.union([
  z.object({ QMP: z.object({}) }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }), id: z.string().optional() }),
  z.object({ event: z.string(), data: z.object({ reason: z.string().optional() }).optional() }),
  z.object({ return: z.unknown(), id: z.string() }),
]);
type Message = z.infer<typeof message>;

interface Waiting {
  resolve(refusal?: QmpRefusal): void;
  reject(error: Error): void;
}

export interface QmpControl extends VmmControl {
  /** Resolves when QEMU asked the guest to keep so much memory, in bytes. */
  setBalloon(bytes: number): Promise<void>;
}

/** Throws launch_failed when QEMU closes, breaks the protocol or refuses, vm_not_running when it closed between two commands; `signal`'s reason when it aborts. */
export async function connectQmp({ control, owner }: Pick<VmSockets, 'control' | 'owner'>, signal: AbortSignal): Promise<QmpControl> {
  signal.throwIfAborted();
  return speakQmp(atOwnedSocket(control, owner, (path) => connect(path)), signal);
}

/** The same over a connection to QEMU that is there. */
export async function speakQmp(socket: Socket, signal: AbortSignal): Promise<QmpControl> {
  const abort = (): void => void socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    const connection = new QmpConnection(socket);
    await connection.greeting;
    await connection.execute('qmp_capabilities');
    await connection.execute('query-status');
    return {
      powerButton: () => connection.execute('system_powerdown'),
      replugVsock: (vsock, startProcess, forAsLong) => replugVsock((command, options) => connection.ask(command, options), vsock, startProcess, forAsLong),
      setBalloon: (value) => connection.execute('balloon', { value }),
      ended: connection.ended,
      onReset: (listener) => connection.onReset(listener),
      close: () => void socket.destroy(),
    };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

class QmpConnection {
  readonly greeting: Promise<void>;
  readonly ended: Promise<boolean>;
  readonly #socket: Socket;
  readonly #waiting = new Map<string, Waiting>();
  #lastId = 0;
  #line = '';
  #guestPoweredOff = false;
  #reset: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.greeting = new Promise((resolve, reject) => this.#waiting.set('greeting', { resolve: () => resolve(), reject }));
    this.ended = new Promise((resolve) => socket.on('close', () => resolve(this.#guestPoweredOff)));
    let cause: Error | undefined;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#read(text));
    socket.on('error', (error) => { cause = error; });
    socket.on('close', () => {
      for (const waiting of this.#waiting.values()) {
        waiting.reject(cause ?? fail('launch_failed', 'qemu closed its control socket'));
      }
      this.#waiting.clear();
    });
  }

  onReset(listener: () => void): void {
    this.#reset = listener;
  }

  /** Rejects when QEMU refuses it. */
  async execute(command: string, options?: object): Promise<void> {
    const refusal = await this.ask(command, options);
    if (refusal !== undefined) throw fail('launch_failed', `qemu refused a command: ${refusal.desc}`);
  }

  ask(command: string, options?: object): Promise<QmpRefusal | undefined> {
    const id = String(this.#lastId += 1);
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(fail('vm_not_running', 'qemu closed its control socket'));
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: options, id })}\r\n`);
    });
  }

  #read(text: string): void {
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop() as string;
    for (const line of lines) this.#take(line);
    if (this.#line.length > LINE_MAX_BYTES) this.#break(`a line of more than ${LINE_MAX_BYTES} bytes`);
  }

  #take(line: string): void {
    let parsed: Message;
    try {
      parsed = message.parse(JSON.parse(line));
    } catch {
      return this.#break('a line that is no message');
    }
    if ('event' in parsed) {
      if (parsed.event === 'SHUTDOWN') this.#guestPoweredOff = parsed.data?.reason === 'guest-shutdown';
      if (parsed.event === 'RESET') this.#reset();
      return;
    }
    const id = 'QMP' in parsed ? 'greeting' : parsed.id ?? '';
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve('error' in parsed ? { ...parsed.error, desc: printable(parsed.error.desc) } : undefined);
  }

  #break(got: string): void {
    this.#socket.destroy(fail('launch_failed', `expected QMP from qemu, got ${got}`));
  }
}
