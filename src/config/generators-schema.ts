// The schema of `generators` in an inventory, one value at a time. What values must be to each other is in
// generators-rules.ts.
import * as z from 'zod';
import { parseSecretName, SECRET_NAME_RULE } from '../secret/name.ts';
import type { Path } from './document.ts';
import { KINDS, PROMPT_TYPES, RANDOM_ENCODINGS } from './generators.ts';
import { closestKey } from './keys.ts';
import { expected, integer, matching, oneOf, text, trueOrFalse } from './values.ts';

/** Of random bytes or characters, so that the value stays far below 1 MiB in any encoding. */
export const LENGTH_MAX = 65_536;
const LIFETIME_MAX_DAYS = 36_500;
const TIMEOUT_MAX_SECONDS = 3600;
const TEXT_MAX_CHARACTERS = 64 * 1024;

/** Of a generator, a file, a prompt or a machine: each is the name of a file. */
export const isGeneratorName = (name: string): boolean => parseSecretName(name) !== undefined;

/** A key whose lines below are all commented out has the value null: as good as absent. */
const orAbsent = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? undefined);

const oneLine = (rule: string) => matching(rule, (value) => value !== '' && !/\p{Cc}/u.test(value));
const NAME_RULE = `expected a name: ${SECRET_NAME_RULE}`;
const name = z.string(NAME_RULE).refine(isGeneratorName, NAME_RULE);

const file = z.strictObject({ secret: trueOrFalse }, expected('a map with secret, or nothing')).nullish();
const prompt = z.strictObject({
  type: oneOf(PROMPT_TYPES).optional(),
  description: oneLine('one line of text').optional(),
}, expected('a map with type and description, or nothing')).nullish();

const argument = z.string(expected('a text')).max(TEXT_MAX_CHARACTERS).refine((value) => !value.includes('\0'), 'expected a text without NUL');

const generatorSchema = z.strictObject({
  kind: oneOf(KINDS).optional(),
  share: trueOrFalse,
  dependencies: orAbsent(z.array(name, expected('a list of generators'))),
  files: orAbsent(z.record(z.string(), file, expected('a map of files by their names'))),
  prompts: orAbsent(z.record(z.string(), prompt, expected('a map of prompts by their names'))),
  encoding: oneOf(RANDOM_ENCODINGS).optional(),
  length: integer(1, LENGTH_MAX).optional(),
  comment: oneLine('one line of text').optional(),
  // RFC 5280, appendix A: ub-common-name is 64.
  commonName: matching('1 to 64 printable characters', (value) => /^[^\p{C}]{1,64}$/u.test(value)).optional(),
  names: orAbsent(z.array(matching('a DNS name or an IP address', isSubjectName), expected('a list of DNS names and IP addresses'))),
  lifetimeDays: integer(1, LIFETIME_MAX_DAYS).optional(),
  isCa: trueOrFalse,
  signedBy: name.optional(),
  script: text('lines for sh').optional(),
  command: orAbsent(z.tuple([text('the name of a program')], argument, expected('a list: a program and its arguments'))),
  timeoutSeconds: integer(1, TIMEOUT_MAX_SECONDS).optional(),
  stdout: name.optional(),
}, expected('a map, such as {kind: random}'));

export type RawGenerator = z.infer<typeof generatorSchema>;

/** The one part of an inventory that is read here; what else it has is not looked at. */
export const generatorsSchema = z.object({
  generators: orAbsent(z.record(z.string(), z.preprocess((value) => value ?? {}, generatorSchema), expected('a map of generators by their names'))),
}, expected('a map with generators or instances'));

/** RFC 1123 host names, with a star for the first label (RFC 6125, 6.4.3), or an address. */
export function isSubjectName(value: string): boolean {
  if (isIpAddress(value)) return true;
  const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
  return value.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`, 'i').test(value);
}

export function isIpAddress(value: string): boolean {
  return z.ipv4().safeParse(value).success || z.ipv6().safeParse(value).success;
}

interface KeyTable {
  readonly place: string;
  readonly keys: readonly string[];
  /** What clan has there, and this file has not. */
  readonly elsewhere: Readonly<Record<string, string>>;
}

const DEPLOYED = 'is for what clan puts on its machines; what a VM gets, and as whose file, is in its runtimeSecrets';
const GENERATOR: KeyTable = {
  place: 'a generator', keys: Object.keys(generatorSchema.shape),
  elsewhere: {
    runtimeInputs: 'is of Nix; here a script finds its programs on the PATH',
    validation: 'is clan\'s; here values are made again with --regenerate',
    type: 'is `kind` here', shared: 'is `share` here', timeout: 'is `timeoutSeconds` here', days: 'is `lifetimeDays` here',
    ca: 'is `signedBy` here, and `isCa` for the CA itself', size: 'is `length` here', bytes: 'is `length` here',
  },
};
const FILE: KeyTable = {
  place: 'a file', keys: ['secret'],
  elsewhere: { deploy: DEPLOYED, owner: DEPLOYED, group: DEPLOYED, mode: DEPLOYED, neededFor: DEPLOYED, restartUnits: DEPLOYED },
};
const PROMPT: KeyTable = {
  place: 'a prompt', keys: ['type', 'description'],
  elsewhere: { persist: 'is clan\'s; here a generator of kind prompt keeps what was typed', display: 'is clan\'s' },
};

/** What to say of a key in the map at `path` that is none of its keys. */
export function describeUnknownGeneratorKey(key: string, path: Path): string {
  const { place, keys, elsewhere } = path[2] === 'files' ? FILE : path[2] === 'prompts' ? PROMPT : GENERATOR;
  const known = Object.hasOwn(elsewhere, key) ? elsewhere[key] : undefined;
  if (known !== undefined) return known;
  const closest = closestKey(key, keys);
  if (closest !== undefined) return `is no key of ${place}; did you mean "${closest}"`;
  return `is no key of ${place}; expected one of ${keys.join(', ')}`;
}
