// Reads the JSON body of an API request: bounded in bytes and in time, whatever the headers say.
import type { IncomingMessage } from 'node:http';
import { JSON_BODY_MAX_BYTES } from '../api/limits.ts';
import { fail, type SlicerError } from '../errors/slicer-error.ts';

const READ_TIMEOUT_MS = 30_000;

/** A browser can send any page's form here, but not with this type and without asking first (Fetch standard, CORS). */
const JSON_TYPE = /^application\/json(?:\s*;|$)/i;

/** The JSON value, undefined for an empty body. Throws invalid_request, body_too_large. */
export async function readJsonBody(incoming: IncomingMessage): Promise<unknown> {
  const bytes = await readBytes(incoming);
  if (bytes.byteLength === 0) return undefined;
  const type = incoming.headers['content-type'];
  if (type !== undefined && !JSON_TYPE.test(type)) {
    throw fail('invalid_request', 'the body must be JSON', 'send it with the header Content-Type: application/json');
  }
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch {
    throw fail('invalid_request', 'the body is not valid JSON');
  }
}

async function readBytes(incoming: IncomingMessage): Promise<Buffer> {
  const announced = Number(incoming.headers['content-length'] ?? 0);
  if (announced > JSON_BODY_MAX_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  await new Promise<void>((resolve, reject) => {
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      incoming.off('data', onData).off('end', onEnd).off('error', onEnd).off('close', onEnd);
      incoming.pause();
      end();
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > JSON_BODY_MAX_BYTES) settle(() => reject(tooLarge()));
    };
    const onEnd = (): void => settle(() => {
      if (incoming.complete) resolve();
      else reject(fail('invalid_request', 'the body ends early'));
    });
    const timer = setTimeout(() => settle(() => {
      reject(fail('invalid_request', `the body did not arrive within ${READ_TIMEOUT_MS / 1000}s`));
    }), READ_TIMEOUT_MS);
    incoming.on('data', onData).on('end', onEnd).on('error', onEnd).on('close', onEnd);
  });
  return Buffer.concat(chunks);
}

const tooLarge = (): SlicerError => fail('body_too_large', `the body is larger than ${JSON_BODY_MAX_BYTES} bytes`);
