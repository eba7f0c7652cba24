// Spoils valid inputs: some bytes at a time, words that parsers care about, whole parts of a JSON tree.
import type { Random } from './random.ts';

export interface Material {
  /** Valid inputs. */
  readonly corpus: readonly Buffer[];
  /** Words that the parser knows. */
  readonly words: readonly string[];
  /** Whether the corpus is JSON whose tree is changed too, or alone. */
  readonly json: 'no' | 'also' | 'only';
  readonly maxBytes: number;
}

const NUMBERS = [
  '0', '-0', '-1', '1', '00', '007', '127', '128', '255', '256', '511', '512', '65535', '65536', '2147483647', '2147483648', '4294967294',
  '4294967295', '4294967296', '9007199254740991', '9007199254740993', '18446744073709551616', '1e3', '1e309', '0x10', '1_000', '+1', '1.5', 'NaN', 'Infinity',
] as const;

/** Separators, controls, terminal commands, characters that reorder or hide text, halves of pairs, the long and the broken. */
const TEXTS = [
  '\0', '\r', '\n', '\r\n', '\r\n\r\n', '\t', ' ', '\x1b[2J', '\x1b]0;x\x07', '\x9b', '\x7f', '\u0085', '\u2028', '\u200b', '\u202e', '\u2066', '\ufeff', '\u{1f600}',
  '%2e%2e%2f', '%00', '../', '/../', '//', '..', '.', './', '.wh.', '.cred.', '__proto__', 'constructor', 'toString', '${x}', '$(x)', '`x`', "'", '"', '\\', '\\u0000',
  '=', ':', ';', ',', '-', '--', '#', '&a', '*a', '!!str', '{', '}', '[', ']', '<', '>', 'null', 'true', 'A'.repeat(64), 'A'.repeat(300), '/'.repeat(40), '9'.repeat(40),
] as const;

/** UTF-8 that is none, and lone surrogates as CESU has them. */
const BROKEN = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xed, 0xb0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80]].map((bytes) => Buffer.from(bytes));

const TREE_VALUES: readonly unknown[] = [
  null, true, false, 0, -1, 1, 1.5, 255, 256, 65536, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e308, '', ' ', 'x', '0', '-1', 'true', 'null', [], {}, [[]], [null], { a: 1 },
  'A'.repeat(300), '\0', '\n', '\x1b[31m', '\u202e', '\ud800', '__proto__', '../../etc/passwd',
];

/** One input. */
export function mutated(random: Random, { corpus, words, json, maxBytes }: Material): Buffer {
  let input = random.pick(corpus);
  if (random.once(32)) return input;
  if (random.once(64) && json !== 'only') return noise(random, random.below(256));
  if (json === 'only' || (json === 'also' && random.once(2))) {
    input = tree(random, input, words);
    // Cut anywhere it would be JSON no more.
    if (json === 'only') return input.length <= 16 * maxBytes ? input : random.pick(corpus);
    if (random.once(2)) return input.subarray(0, maxBytes);
  }
  let rounds = 1;
  while (rounds < 24 && !random.once(3)) rounds += 1;
  for (let round = 0; round < rounds; round += 1) input = change(random, input, corpus, words);
  return input.subarray(0, maxBytes);
}

function change(random: Random, input: Buffer, corpus: readonly Buffer[], words: readonly string[]): Buffer {
  const at = random.below(input.length + 1);
  const length = Math.min(input.length - at, 1 + random.below(random.pick([2, 8, 64, 600])));
  switch (random.below(12)) {
    case 0: return flipped(input, at, 1 << random.below(8));
    case 1: return joined(input, at, 1, Buffer.of(random.below(256)));
    case 2: return joined(input, at, 0, noise(random, 1 + random.below(8)));
    case 3: return joined(input, at, length, Buffer.alloc(0));
    case 4: return joined(input, at, 0, input.subarray(at, at + length));
    case 5: return joined(input, random.below(input.length + 1), random.below(length + 1), input.subarray(at, at + length));
    case 6: return Buffer.concat([input.subarray(0, at), tail(random, random.pick(corpus))]);
    case 7: return number(random, input);
    case 8: return joined(input, at, random.once(2) ? 0 : length, Buffer.from(random.pick(TEXTS)));
    case 9: return joined(input, at, random.once(2) ? 0 : 1, random.pick(BROKEN));
    case 10: return words.length === 0 ? input.subarray(0, at) : joined(input, at, random.once(2) ? 0 : length, Buffer.from(random.pick(words)));
    default: return repeated(random, input, at, Math.min(length, 64));
  }
}

const joined = (input: Buffer, at: number, cut: number, between: Uint8Array): Buffer =>
  Buffer.concat([input.subarray(0, at), between, input.subarray(at + cut)]);

function flipped(input: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(input);
  if (at < copy.length) copy[at] = (copy[at] as number) ^ mask;
  return copy;
}

const noise = (random: Random, length: number): Buffer => Buffer.from(Array.from({ length }, () => random.below(256)));

const tail = (random: Random, other: Buffer): Buffer => other.subarray(random.below(other.length + 1));

/** Another number where one stands. */
function number(random: Random, input: Buffer): Buffer {
  const text = input.toString('latin1');
  const found = [...text.matchAll(/\d+/g)];
  if (found.length === 0) return joined(input, random.below(input.length + 1), 0, Buffer.from(random.pick(NUMBERS)));
  const { 0: digits, index } = random.pick(found);
  return joined(input, index, digits.length, Buffer.from(random.pick(NUMBERS)));
}

function repeated(random: Random, input: Buffer, at: number, length: number): Buffer {
  const times = random.pick([2, 3, 10, 40]);
  return joined(input, at, 0, Buffer.concat(Array.from({ length: times }, () => input.subarray(at, at + length))));
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Puts, drops, doubles and renames parts of a tree. */
function tree(random: Random, input: Buffer, words: readonly string[]): Buffer {
  let root = JSON.parse(input.toString()) as Json;
  for (let rounds = 1 + random.below(4); rounds > 0; rounds -= 1) root = inTree(random, root, words);
  return Buffer.from(JSON.stringify(root));
}

function inTree(random: Random, node: Json, words: readonly string[]): Json {
  const isBranch = typeof node === 'object' && node !== null;
  if (!isBranch || random.once(8)) return otherValue(random, node, words);
  if (Array.isArray(node)) {
    if (node.length === 0 || random.once(6)) return [...node, otherValue(random, node[0] ?? null, words)];
    const index = random.below(node.length);
    if (random.once(6)) return node.toSpliced(index, 1);
    if (random.once(6)) return Array.from({ length: random.pick([2, 30]) }, () => node[index] as Json);
    return node.with(index, inTree(random, node[index] as Json, words));
  }
  const keys = Object.keys(node);
  const key = keys.length === 0 || random.once(6) ? (words.length === 0 ? 'x' : random.pick(words)) : random.pick(keys);
  const rest = Object.entries(node).filter(([name]) => name !== key);
  if (random.once(6)) return Object.fromEntries(rest);
  if (random.once(8)) return Object.fromEntries([...rest, [random.pick(['__proto__', 'constructor', '', ' ', 'X', 'a\nb', ...words]), node[key] ?? null]]);
  return Object.fromEntries([...rest, [key, inTree(random, node[key] ?? null, words)]]);
}

function otherValue(random: Random, node: Json, words: readonly string[]): Json {
  if (random.once(3) && words.length > 0) return random.pick(words);
  if (typeof node === 'string' && random.once(2)) {
    const at = random.below(node.length + 1);
    return node.slice(0, at) + random.pick(TEXTS) + node.slice(at + random.below(3));
  }
  if (random.once(40)) return Array.from({ length: 200 }).reduce<Json>((inner) => [inner], 0);
  return random.pick(TREE_VALUES) as Json;
}
