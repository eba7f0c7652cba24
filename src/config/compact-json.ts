// JSON as programs write it: Nix, `JSON.stringify`, most encoders that are not told to indent.

/**
 * The data of a text that is just what `JSON.stringify` makes of it: no key in it is there twice, and no number
 * loses digits. Undefined for any other text. Read a hundred times faster than YAML, but without places.
 */
export function readCompactJson(text: string): { readonly data: unknown } | undefined {
  try {
    const data: unknown = JSON.parse(text);
    return JSON.stringify(data) === text.trimEnd() ? { data } : undefined;
  } catch {
    return undefined;
  }
}
