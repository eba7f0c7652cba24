// Text that a guest may have written must not steer a terminal: control characters (ESC and C1 begin
// commands; CR overwrites what stands there), and format characters, which reorder (bidi) or hide text.

const HARMFUL = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** One line: every control and format character is written as `\xHH` or `\u{H…}`. */
export function escapeLine(text: string): string {
  return text.replace(HARMFUL, escapeCharacter);
}

/** All before one line feed. Looked for from the first of them alone: from each, a million of them would take hours. */
const RETURNS = /(?<!\r)\r+\n/g;

/** Several lines: line ends and tabs stay; CR before LF, as consoles write it, is dropped. */
export function escapeLines(text: string): string {
  return text.replace(RETURNS, '\n').replace(HARMFUL, (character) => (character === '\n' || character === '\t' ? character : escapeCharacter(character)));
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) as number;
  const digits = code.toString(16);
  return code <= 0xff ? `\\x${digits.padStart(2, '0')}` : `\\u{${digits}}`;
}
