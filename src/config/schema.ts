// The schema of slicer.yaml, one value at a time. What values must be to each other is in rules.ts.
import * as z from 'zod';
import { DELIVER_CHOICES } from '../delivery/credential.ts';
import { HYPERVISORS, MACHINE_TYPES } from '../delivery/hypervisor.ts';
import { isId } from '../secret/file-attributes.ts';
import { USERDATA_MAX_BYTES } from '../wire/protocol.ts';
import { ROLES } from './config.ts';
import { isImageName, isImagePath } from './named-files.ts';
import { expected, integer, matching, MIB, oneOf, secretName, size, text, trueOrFalse } from './values.ts';

const GIB = 1024 * MIB;

/** With `-` and the nine digits that a VM's number may have, 63: the longest label of a host name (RFC 1035, 2.3.4). */
const GROUP_NAME_MAX_LENGTH = 53;
export const GROUP_NAME_RULE = `a name of 1 to ${GROUP_NAME_MAX_LENGTH} of a-z 0-9 -, not beginning or ending with -`;
const GROUP_NAME = /^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$/;

export const isGroupName = (text: string): boolean => GROUP_NAME.test(text);

const RAM_MIN_MB = 64;
const RAM_MAX_GB = 4096;

const IMAGE_RULE = 'tiny, debian, or the path of an initramfs that begins with / or ./';
const image = matching(IMAGE_RULE, (value) => isImageName(value) || isImagePath(value));

const userdata = z
  .string(expected('a script'))
  .refine((script) => Buffer.byteLength(script) <= USERDATA_MAX_BYTES, {
    error: ({ input }) => `expected a script of at most ${USERDATA_MAX_BYTES} bytes, got ${Buffer.byteLength(String(input))}`,
  });

const SECRETS_RULE = 'all, none, or a list of names of secrets';
const secretNames = z.array(secretName, expected(SECRETS_RULE));
const secretsWord = z.enum(['all', 'none'], `expected ${SECRETS_RULE}`);
/** Chosen by hand and not by z.union, whose issues would not say which element of a list is wrong. */
const secrets = z.unknown().transform((value, context) => {
  const parsed = (Array.isArray(value) ? secretNames : secretsWord).safeParse(value);
  if (parsed.success) return parsed.data;
  for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path: [...path], message });
  return z.NEVER;
});

const CREDENTIAL_RULE = 'expected a credential: a map with name and secret';
const credential = z.strictObject({
  // What a name must be is in rules.ts; it is not shown, for the same reason as above.
  name: z.string('expected the name of a credential'),
  secret: secretName,
  trimNewline: trueOrFalse,
  allowEmpty: trueOrFalse,
  allowReserved: trueOrFalse,
  deliver: z.enum(DELIVER_CHOICES, `expected one of ${DELIVER_CHOICES.join(', ')}`).optional(),
}, CREDENTIAL_RULE);

const NETWORK_RULE = expected('none or user');
const network = z.enum(['none', 'user'], {
  error: ({ input }) => NETWORK_RULE.error({ input })
    + (typeof input === 'object' ? '; the networks of Slicer with a bridge or isolated are not supported by this version' : ''),
});

const hypervisor = oneOf(HYPERVISORS);

const TAG_RULE = expected('a tag of 1 to 128 printable characters');
const tag = z.string(TAG_RULE).regex(/^[^\p{C}]{1,128}$/u, TAG_RULE);
const TAGS_RULE = expected('a list of at most 64 tags');

const group = z.strictObject({
  name: matching(GROUP_NAME_RULE, isGroupName),
  count: integer(0, 1000).optional(),
  vcpu: integer(1, 255).optional(),
  ram_gb: integer(1, RAM_MAX_GB).optional(),
  ram_mb: integer(RAM_MIN_MB, RAM_MAX_GB * 1024).optional(),
  ram_bytes: z
    .int(expected('a number of bytes'))
    .refine((bytes) => bytes % MIB === 0 && bytes >= RAM_MIN_MB * MIB && bytes <= RAM_MAX_GB * GIB,
      expected(`a multiple of ${MIB} from ${RAM_MIN_MB * MIB} to ${RAM_MAX_GB * GIB}`))
    .optional(),
  userdata: userdata.optional(),
  userdata_file: text('a path').optional(),
  image: image.optional(),
  hypervisor: hypervisor.optional(),
  machine: oneOf(MACHINE_TYPES).optional(),
  network: network.optional(),
  secrets: secrets.optional(),
  credentials: z.array(credential, 'expected a list of credentials: maps with name and secret').optional(),
  tags: z.array(tag, TAGS_RULE).max(64, TAGS_RULE).optional(),
}, expected('a host group: a map with name, vcpu and ram_gb'));

const GROUPS_RULE = expected('a list of at least one host group');

/** A key whose lines below are all commented out has the value null: as good as absent. */
const orAbsent = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? undefined);

const auth = z.strictObject({
  enabled: z.boolean(expected('true or false')).optional(),
  token_file: text('a path').optional(),
}, expected('a map'));

const GROUP_ID_RULE = expected('a group of this machine by name or number');

const socketGroup = z
  .union([z.int(), z.string()], GROUP_ID_RULE)
  .refine((group) => (typeof group === 'number' ? isId(group) : /^[^\s:\0]+$/.test(group)), GROUP_ID_RULE)
  .optional();

const SOCKET_RULE = 'expected a socket: a map with path and role';
const socket = z.strictObject({ path: text('the path of a socket'), group: socketGroup, role: oneOf(ROLES) }, SOCKET_RULE);

const TOKEN_NAME_RULE = 'a name of 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit';
const token = z.strictObject({
  name: matching(TOKEN_NAME_RULE, (name) => /^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)),
  token_file: text('a path'),
  role: oneOf(ROLES),
}, 'expected a token: a map with name, token_file and role');

const api = z.strictObject({
  port: integer(1, 65535).optional(),
  bind_address: text('an address, or the path of a socket').optional(),
  socket_group: socketGroup,
  auth: orAbsent(auth),
  sockets: z.array(socket, 'expected a list of sockets: maps with path and role').optional(),
  tokens: z.array(token, 'expected a list of tokens: maps with name, token_file and role').optional(),
}, expected('a map'));

const audit = z.strictObject({
  path: text('a path').optional(),
  max_size: size(64 * 1024, 1024 * GIB, 'a number of bytes, or a size as 64MiB, from 64KiB to 1024GiB').optional(),
  keep: integer(0, 1000).optional(),
}, expected('a map'));

export const configSchema = z.strictObject({
  config: z.strictObject({
    host_groups: z.array(group, GROUPS_RULE).min(1, GROUPS_RULE),
    image: image.optional(),
    kernel_file: text('a path').optional(),
    hypervisor: hypervisor.optional(),
    secrets_dir: text('a path').optional(),
    api: orAbsent(api),
    audit: orAbsent(audit),
  }, expected('a map with host_groups')),
}, expected('a map with config at the top'));

export type RawConfig = z.infer<typeof configSchema>['config'];
export type RawGroup = RawConfig['host_groups'][number];
export type RawAudit = NonNullable<RawConfig['audit']>;
export type RawApi = NonNullable<RawConfig['api']>;
