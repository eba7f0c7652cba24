// Looks for a value in the forms in which it could have leaked: plain, hexadecimal, and base64 at each of
// the three places where it can begin within a group.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Strings one of which is in every text that holds `value` plain, in hexadecimal or in base64. */
export function formsOf(value: string): string[] {
  const hex = Buffer.from(value).toString('hex');
  return [value, hex, hex.toUpperCase(), ...[0, 1, 2].flatMap((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]);
    // The first and last groups also hold bits of what stands before and after.
    const first = offset === 0 ? 0 : 4;
    const whole = Math.floor(bytes.byteLength / 3) * 4;
    const core = bytes.toString('base64').slice(first, whole);
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  })];
}

export interface Place {
  readonly where: string;
  readonly bytes: Buffer;
}

/** Where a value is, in any form. */
export function find(values: readonly string[], places: Iterable<Place>): string[] {
  const forms = values.flatMap((value) => formsOf(value).map((form) => ({ value, form: Buffer.from(form) })));
  const found: string[] = [];
  for (const { where, bytes } of places) {
    for (const { value, form } of forms) if (bytes.includes(form)) found.push(`${value} in ${where}`);
  }
  return [...new Set(found)];
}

/** Every plain file below a directory; `except` names paths that are left out, with all below them. */
export function* filesBelow(directory: string, except: (path: string) => boolean = () => false): Generator<Place> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (except(path)) continue;
    if (entry.isDirectory()) yield* filesBelow(path, except);
    if (entry.isFile()) yield { where: path, bytes: readFileSync(path) };
  }
}
