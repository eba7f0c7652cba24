// What a guest may say of itself to the host's service manager (sd_notify(3)): that it is ready, and a line
// of status. Any process in the guest can say it, so nothing else passes: not MAINPID=, which would have
// another process of the host ended in the VM's place, nor FDSTORE=, WATCHDOG=, STOPPING= and the like.

export interface GuestNotice {
  readonly ready: boolean;
  /** Printable, at most 200 characters. */
  readonly status?: string;
}

/** Longest message that is read; systemd's are a line or two. */
export const MESSAGE_MAX_BYTES = 4096;
const STATUS_MAX_LENGTH = 200;

/** Control, format, private and unassigned characters, and the separators of lines and paragraphs. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]+/gu;

/** Undefined for a message with nothing in it that passes. */
export function parseMessage(bytes: Uint8Array): GuestNotice | undefined {
  const lines = new TextDecoder().decode(bytes.subarray(0, MESSAGE_MAX_BYTES)).split('\n');
  const ready = lines.includes('READY=1');
  const said = lines.findLast((line) => line.startsWith('STATUS='))?.slice('STATUS='.length);
  const status = said === undefined ? undefined : [...said.replace(UNPRINTABLE, ' ').trim()].slice(0, STATUS_MAX_LENGTH).join('');
  if (!ready && status === undefined) return undefined;
  return { ready, ...(status === undefined ? {} : { status }) };
}
