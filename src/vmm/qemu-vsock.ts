// Takes the VSOCK device of a QEMU guest out and puts it back while the guest runs on, with another process
// behind it: QEMU does not come back to a vhost-user process that ended. The guest's connections end, its
// listeners stay. Each step finds it done where one that was broken off had done it.
import { setTimeout as delay } from 'node:timers/promises';
import { fail } from '../errors/slicer-error.ts';
import { VSOCK_CHARDEV, VSOCK_DEVICE, VSOCK_PORT } from './qemu-devices.ts';

/** Why QEMU did not do a command (qmp-spec, 2.4.2). */
export interface QmpRefusal {
  readonly class: string;
  readonly desc: string;
}

/** Resolves with undefined when QEMU did it. Rejects when the connection ends. */
export type QmpAsk = (command: string, options?: object) => Promise<QmpRefusal | undefined>;

const ASK_AGAIN_MS = 100;
/** A guest that is paused, or in its firmware, takes longer to let go of the device. */
const ASK_AGAIN_LATER_MS = 1_000;
const SOON_MS = 5_000;
/** QEMU says that a device is gone a moment before what it had is free. */
const FREE_ATTEMPTS = 50;

/**
 * `socket`: where the process that `startProcess` starts listens. Waits for the guest as long as it takes.
 * Throws vm_not_running when the connection ends, launch_failed when QEMU refuses, the signal's reason, and
 * what `startProcess` does.
 */
export async function replugVsock(ask: QmpAsk, socket: string, startProcess: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  // Asked for again and again: a guest in its firmware forgets that it was asked.
  for (;;) {
    signal.throwIfAborted();
    const refusal = await ask('device_del', { id: VSOCK_DEVICE });
    if (refusal?.class === 'DeviceNotFound') break;
    await delay(performance.now() - began < SOON_MS ? ASK_AGAIN_MS : ASK_AGAIN_LATER_MS);
  }
  await untilDone(ask, 'chardev-remove', { id: VSOCK_CHARDEV }, /not found/, signal);
  await startProcess();
  signal.throwIfAborted();
  await untilDone(ask, 'chardev-add', {
    id: VSOCK_CHARDEV,
    backend: { type: 'socket', data: { addr: { type: 'unix', data: { path: socket } }, server: false } },
  }, undefined, signal);
  await untilDone(ask, 'device_add', { driver: 'vhost-user-vsock-pci', id: VSOCK_DEVICE, chardev: VSOCK_CHARDEV, bus: VSOCK_PORT }, undefined, signal);
}

/** `isDone`: what QEMU says when there is nothing left to do. */
async function untilDone(ask: QmpAsk, command: string, options: object, isDone: RegExp | undefined, signal: AbortSignal): Promise<void> {
  let refusal: QmpRefusal | undefined;
  for (let attempt = 0; attempt < FREE_ATTEMPTS; attempt += 1) {
    signal.throwIfAborted();
    refusal = await ask(command, options);
    if (refusal === undefined || isDone?.test(refusal.desc) === true) return;
    await delay(ASK_AGAIN_MS);
  }
  throw fail('launch_failed', `qemu refused ${command}: ${refusal?.desc}`);
}
