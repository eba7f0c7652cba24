// JSON as programs write it: Nix, `JSON.stringify`, most encoders that are not told to indent.
import { FORBIDDEN_KEY } from './document.ts';

/**
 * The data of a text that is just what `JSON.stringify` makes of it, and maybe a line feed: no key in it is there twice, and no number
 * loses digits, nor is any called `__proto__`. Undefined for any other text. Read a hundred times faster than YAML, but without places.
 */
export function readCompactJson(text: string): { readonly data: unknown } | undefined {
  try {
    const data: unknown = JSON.parse(text);
    return JSON.stringify(data) === text.replace(/\n$/, '') && !text.includes(`"${FORBIDDEN_KEY}"`) ? { data } : undefined;
  } catch {
    return undefined;
  }
}
