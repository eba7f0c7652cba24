// Text from a guest, made fit for logs, terminals and API answers.

/** Controls (C0, DEL, C1), line and paragraph separators, and what changes the direction of text. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]/g;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** One line of at most `maxLength` UTF-16 units; what can't be shown is U+FFFD, what is cut ends in `…`. */
export function guestText(text: string, maxLength: number): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
  return cut.replace(UNPRINTABLE, '\ufffd').replace(LONE_SURROGATE, '\ufffd');
}

/** Several lines: as `guestText`, but line feeds and tabs stay, and of too much the end is kept. */
export function guestOutput(text: string, maxLength: number): string {
  return text.slice(-maxLength).replace(UNPRINTABLE, (found) => (found === '\n' || found === '\t' ? found : '\ufffd'))
    .replace(LONE_SURROGATE, '\ufffd');
}
