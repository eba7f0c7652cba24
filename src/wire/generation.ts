// A generation names what a VM should hold: an epoch, which lasts as long as the host serves that VM
// without a break and is no other VM's, and a counter within it. It travels as an HTTP entity tag:
// "EPOCH.COUNTER".

export interface Generation {
  /** 16 lower-case hexadecimal digits. */
  readonly epoch: string;
  /** 0 to 2^53 - 1; grows by one when what the VM is sent differs from what it was sent before. */
  readonly counter: number;
}

const ETAG = /^"([0-9a-f]{16})\.(0|[1-9][0-9]{0,15})"$/;

export function formatEtag(generation: Generation): string {
  return `"${generation.epoch}.${generation.counter}"`;
}

/** The generation in an ETag or If-None-Match header; undefined when it is none of ours. */
export function parseEtag(text: string): Generation | undefined {
  const match = ETAG.exec(text);
  if (match === null) return undefined;
  const counter = Number(match[2]);
  return Number.isSafeInteger(counter) ? { epoch: match[1] as string, counter } : undefined;
}
