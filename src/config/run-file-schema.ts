// The schema of the file of `slicer run`, one value at a time; keys are those of microvm.nix where it has
// them. What values must be to each other is in run-file-rules.ts.
import * as z from 'zod';
import { DELIVER_CHOICES } from '../delivery/credential.ts';
import { HYPERVISORS, MACHINE_TYPES } from '../delivery/hypervisor.ts';
import { GUEST_CID_MAX, GUEST_CID_MIN } from '../wire/ports.ts';
import type { Path } from './document.ts';
import { closestKey } from './keys.ts';
import { FS_TYPES } from './run-file.ts';
import { expected, integer, matching, text, trueOrFalse } from './values.ts';

const NAME_RULE = 'a name of 1 to 63 of a-z 0-9 -, not beginning or ending with -';
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) => z.enum(words, expected(`one of ${words.join(', ')}`));

/** A key whose lines below are all commented out has the value null: as good as absent. */
const orAbsent = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? undefined);
const list = <Schema extends z.ZodType>(schema: Schema, rule: string) => orAbsent(z.array(schema, expected(rule)));

const MEM_MIN_MIB = 64;
const MEM_MAX_MIB = 4096 * 1024;
const VOLUME_MAX_MIB = 64 * 1024 * 1024;

const volume = z.strictObject({
  image: text('the path of a disk image'),
  mountPoint: text('a path in the guest').nullish(),
  size: integer(1, VOLUME_MAX_MIB).optional(),
  fsType: oneOf(FS_TYPES).optional(),
  label: matching('a label of 1 to 16 printable ASCII characters, not beginning with -', (label) => /^(?!-)[\x21-\x7e]{1,16}$/.test(label)).nullish(),
  autoCreate: trueOrFalse,
  readOnly: trueOrFalse,
}, expected('a volume: a map with image'));

const share = z.strictObject({
  // virtio 1.2, 5.11.4: the tag has 36 bytes.
  tag: matching('a tag of 1 to 36 printable ASCII characters', (tag) => /^[\x21-\x7e]{1,36}$/.test(tag)),
  socket: text("the path of a virtiofsd's socket"),
  source: text('a path of the host').optional(),
  mountPoint: text('a path in the guest').optional(),
  proto: z.enum(['virtiofs'], expected('virtiofs')).optional(),
}, expected('a share: a map with tag and socket'));

/** A single station's address: the lowest bit of the first octet is 0 (IEEE 802, 8.2). */
const MAC = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i;
const mac = matching('a MAC address of one station, such as 02:00:00:00:00:01', (address) => MAC.test(address)).optional();
const networkInterface = z.strictObject({
  type: oneOf(['tap', 'macvtap', 'user']),
  // IFNAMSIZ is 16, with the closing NUL (netdevice(7)).
  id: matching('the name of an interface, 1 to 15 characters', (name) => /^(?!\.{1,2}$)[^/\s\p{C}]{1,15}$/u.test(name)).optional(),
  mac,
}, expected('an interface: a map with type'));

const vsock = z.strictObject({
  cid: integer(GUEST_CID_MIN, GUEST_CID_MAX).nullish(),
  socket: text('the path of a socket').optional(),
}, expected('a map with cid or socket'));

const BALLOON_RULE = expected('true, false, or a map with size, deflateOnOOM and freePageReporting');
const balloonMap = z.strictObject({
  size: integer(0, MEM_MAX_MIB).optional(), deflateOnOOM: trueOrFalse, freePageReporting: trueOrFalse,
}, BALLOON_RULE);
/** Chosen by hand and not by z.union, whose issues would not say which key is wrong. */
const balloon = z.unknown().transform((value, context) => {
  if (value === null || value === undefined || typeof value === 'boolean') return value ?? false;
  const parsed = balloonMap.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) context.issues.push({ ...issue, input: value, code: 'custom', message: messageOf(issue) });
  return z.NEVER;
});
const messageOf = (issue: z.core.$ZodIssue): string =>
  (issue.code === 'unrecognized_keys' ? `expected only the keys ${Object.keys(balloonMap.shape).join(', ')}` : issue.message);

// None of these says what is there instead: somebody may have put a value where its path or name belongs.
const runtimeSecret = z.strictObject({
  secretPath: z.string('expected a path').regex(/^[^\0]+$/, 'expected a path').nullish(),
  oemCredentialName: z.string('expected the name of a credential').optional(),
  trimNewline: trueOrFalse,
  allowEmpty: trueOrFalse,
  allowReserved: trueOrFalse,
  deliver: oneOf(DELIVER_CHOICES).optional(),
}, 'expected a map with secretPath').nullable();

const OEM_STRING_RULE = 'expected a text of at least one character, without NUL';

export const runFileSchema = z.strictObject({
  name: matching(NAME_RULE, (name) => NAME.test(name)),
  hypervisor: oneOf(HYPERVISORS).optional(),
  machine: oneOf(MACHINE_TYPES).optional(),
  vcpu: integer(1, 255).optional(),
  mem: integer(MEM_MIN_MIB, MEM_MAX_MIB).optional(),
  image: oneOf(['tiny', 'debian']).nullish(),
  kernel: text('the path of a kernel').nullish(),
  initrd: text('the path of an initramfs').nullish(),
  cmdline: z.string(expected('a text')).refine((line) => !/[\0\n]/.test(line), expected('one line')).nullish(),
  volumes: list(volume, 'a list of volumes'),
  shares: list(share, 'a list of shares'),
  interfaces: list(networkInterface, 'a list of interfaces'),
  vsock: orAbsent(vsock),
  balloon: balloon.optional(),
  watchdog: trueOrFalse,
  runtimeSecrets: orAbsent(z.record(z.string(), runtimeSecret, expected('a map of secrets by their names'))),
  staticOEMStrings: orAbsent(z.array(z.string(OEM_STRING_RULE).regex(/^[^\0]+$/, OEM_STRING_RULE), 'expected a list of texts')),
}, expected('a map with name, and image or kernel'));

export type RawRunFile = z.infer<typeof runFileSchema>;

export interface KeyTable {
  /** The place in words. */
  readonly place: string;
  readonly keys: readonly string[];
  /** What microvm.nix or the clan module has there, and this file has not. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

const NOT_HERE = 'is a key of microvm.nix that this version does not support';
const OF_INVENTORY = 'is a key of an inventory, whose VMs are started with slicer run INSTANCE --inventory=FILE';
const GIVEN = 'is what microvm.nix sets up before; here the interface is given, by its id';
export const RUN_KEYS: KeyTable = {
  place: 'the top', keys: Object.keys(runFileSchema.shape),
  elsewhere: {
    config: 'is the key of slicer.yaml, which `slicer up` takes; this is the file of one VM', instances: OF_INVENTORY, generators: OF_INVENTORY, devices: NOT_HERE, forwardPorts: NOT_HERE,
    storeOnDisk: NOT_HERE, hugepageMem: NOT_HERE, hotplugMem: NOT_HERE, initialBalloonMem: 'is `size` of balloon here',
    deflateOnOOM: 'is a key of balloon here', kernelParams: 'is cmdline here, one text',
  },
};
export const RUN_SECRET_KEYS: KeyTable = {
  place: 'a secret', keys: Object.keys(runtimeSecret.unwrap().shape),
  elsewhere: { generateSecret: 'is for an inventory, whose secrets are made; here they are made already' },
};
const TABLES: Readonly<Record<string, KeyTable>> = {
  volumes: { place: 'a volume', keys: Object.keys(volume.shape), elsewhere: { serial: NOT_HERE, direct: NOT_HERE, mkfsExtraArgs: NOT_HERE } },
  shares: { place: 'a share', keys: Object.keys(share.shape), elsewhere: { securityModel: NOT_HERE, cache: NOT_HERE, readOnly: NOT_HERE } },
  interfaces: { place: 'an interface', keys: Object.keys(networkInterface.shape), elsewhere: { macvtap: GIVEN, bridge: GIVEN, tap: GIVEN } },
  vsock: { place: 'vsock', keys: Object.keys(vsock.shape) },
  runtimeSecrets: RUN_SECRET_KEYS,
};

/** What to say of a key in the map at `path` that is none of its keys. */
export function describeUnknownRunKey(key: string, path: Path): string {
  return describeKey(key, TABLES[String(path[0])] ?? RUN_KEYS);
}

/** What to say of a key in a place that `table` is of. */
export function describeKey(key: string, { place, keys, elsewhere = {} }: KeyTable): string {
  const known = Object.hasOwn(elsewhere, key) ? elsewhere[key] : undefined;
  if (known !== undefined) return known;
  const closest = closestKey(key, keys);
  if (closest !== undefined) return `is no key of ${place}; did you mean "${closest}"`;
  return `is no key of ${place}; expected one of ${keys.join(', ')}`;
}
