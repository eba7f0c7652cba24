// Reads the JSON body of an authenticated request, bounded, into the type its schema makes.
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { JSON_MAX_BYTES } from '../wire/protocol.ts';

/** Resolves with what was read, or with why not; rejects when the connection ends before the body does. */
export async function readJson<T>(
  request: IncomingMessage,
  schema: z.ZodType<T>,
): Promise<{ value: T } | { status: 400 | 413; reason: string }> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > JSON_MAX_BYTES) {
    return { status: 413, reason: `the body has ${length} bytes, the limit is ${JSON_MAX_BYTES}` };
  }
  const body = Buffer.alloc(length);
  let filled = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunk.copy(body, filled);
    filled += chunk.byteLength;
  }
  let json: unknown;
  try {
    json = JSON.parse(body.toString());
  } catch {
    return { status: 400, reason: 'expected JSON' };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { value: parsed.data };
  const [issue] = parsed.error.issues;
  return { status: 400, reason: `unexpected value at ${issue?.path.join('.') || 'the top'}` };
}
