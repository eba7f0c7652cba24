// Host groups and their nodes. A node is a VM as the API has always called it.
import { z } from '@hono/zod-openapi';
import { USERDATA_MAX_BYTES } from '../wire/protocol.ts';
import { duration, hostname, must, pathSegment, secretName, timestamp, utf8Length } from './fields.ts';

export const groupPath = z.object({ name: pathSegment });
export const groupNodePath = z.object({ name: pathSegment, hostname: pathSegment });
export const nodePath = z.object({ hostname: pathSegment });

export const nodesQuery = z.strictObject({
  tag: z.string().optional().openapi({ description: 'Only nodes with this tag' }),
  tag_prefix: z.string().optional().openapi({ description: 'Only nodes with a tag that begins so' }),
});

export const hostGroup = z
  .object({
    name: z.string(),
    count: z.int().openapi({ description: 'VMs of the group that are there now' }),
    ram_bytes: z.int(),
    cpus: z.int(),
    gpu_count: z.int(),
    arch: z.string(),
  })
  .openapi('HostGroup');
export type HostGroup = z.infer<typeof hostGroup>;

/** Capitals as public clients compare them (`.status == "Running"`). */
const nodeStatus = z.enum(['Starting', 'Running', 'Stopping', 'Stopped', 'Failed']).openapi('NodeStatus', {
  description: 'Stopped: the guest powered itself off; Failed: it ended in any other way',
});
export type NodeStatus = z.infer<typeof nodeStatus>;

export const grant = z.union([z.literal('all'), z.array(z.string())]).openapi('Grant', {
  description: '"all" (secrets that are created later too), or the names that the VM may have',
});

const CHANNELS = ['boot', 'live', 'both'] as const;

export const givenCredential = z
  .object({
    name: z.string().openapi({ example: 'api-key' }),
    secret: z.string(),
    deliver: z.enum(CHANNELS).openapi({ description: "boot: in the VM's firmware tables until it ends; live: follows the secret" }),
  })
  .openapi('GivenCredential', { description: 'A systemd credential of the VM' });

export const node = z
  .object({
    hostname: z.string().openapi({ example: 'web-1' }),
    hostgroup: z.string().openapi({ description: 'Empty for an attached VM' }),
    ip: z.string().openapi({ description: 'Empty where the VM has no network' }),
    created_at: timestamp,
    arch: z.string().openapi({ example: 'amd64' }),
    status: nodeStatus,
    tags: z.array(z.string()),
    hypervisor: z.string().openapi({ example: 'qemu', description: 'Empty for an attached VM' }),
    cpus: z.int().openapi({ description: '0 for an attached VM' }),
    ram_bytes: z.int().openapi({ description: '0 for an attached VM' }),
    secrets: grant,
    credentials: z.array(givenCredential).openapi({ description: 'What the VM is given besides `secrets`; empty for an attached VM' }),
    attached: z.boolean().openapi({ description: 'Whether something other than Slicer started the VM' }),
    agent_version: z.string().optional().openapi({ description: 'The release of the agent in the guest; absent until it has a session' }),
    userdata_exit_code: z.int().optional().openapi({ description: 'Present once userdata has run' }),
    error: z.string().optional().openapi({ description: 'Why the VM is Failed or Stopped' }),
    console: z.string().optional().openapi({ description: 'The last console lines of a VM that is Failed or Stopped' }),
  })
  .openapi('Node');
export type Node = z.infer<typeof node>;

export const launchQuery = z.strictObject({
  wait: z.enum(['agent', 'userdata'], must('agent or userdata')).optional().openapi({
    description: 'Answer once the secrets are in place (agent), or once userdata ran too',
  }),
  timeout: duration.optional().openapi({ description: 'How long `wait` may take; 30s when absent. Past it the VM is deleted' }),
});

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === false || value === 0 || value === '' || (Array.isArray(value) && value.length === 0);

/** A field of public Slicer that has no meaning here: clients send it empty, and a wish must not be dropped in silence. */
const unsupported = z
  .unknown()
  .refine(isEmpty, { error: 'is not supported' })
  .optional()
  .openapi({ description: 'Not supported: refused unless empty', deprecated: true });

const grantedNames = z
  .array(secretName, must('a list of secret names'))
  .openapi({ description: 'The secrets that the VM may have; absent for the default (its group\'s; all for an attached VM), [] for none' });

const trueOrFalse = z.boolean(must('true or false')).optional().transform((value) => value ?? false);

const credential = z
  .strictObject({
    name: z.string(must('the name of a credential')).openapi({ example: 'api-key' }),
    secret: secretName,
    trimNewline: trueOrFalse.openapi({ description: "Leave out one newline at the value's end" }),
    allowEmpty: trueOrFalse.openapi({ description: 'Whether a value of 0 bytes is meant' }),
    allowReserved: trueOrFalse.openapi({ description: 'Whether a name is meant that systemd acts on by itself' }),
    deliver: z.enum(CHANNELS, must('boot, live or both')).optional().openapi({
      description: 'Over which channel; absent: at boot where the VM has a boot channel, else live',
    }),
  }, must('a credential: an object with name and secret'))
  .openapi('Credential', { description: 'A secret that the VM gets as a systemd credential, granted as a file or not' });

const TAG_RULE = '1 to 128 printable characters';
const tag = z
  .string(must(TAG_RULE))
  .regex(/^[^\p{C}]{1,128}$/u, must(TAG_RULE))
  .openapi({ pattern: '^[^\\p{C}]{1,128}$' });

const tags = z.array(tag, must('a list of tags')).max(64, must('a list of at most 64 tags'));

const CPUS_RULE = 'a whole number from 1 to 255';
const BYTES_RULE = 'a whole number of bytes';

// No transform of the whole: the body is optional, and `{}` stands for an absent one.
export const launchBody = z
  .strictObject({
    cpus: z.int(must(CPUS_RULE)).min(1, must(CPUS_RULE)).max(255, must(CPUS_RULE)).optional(),
    ram_bytes: z.int(must(BYTES_RULE)).min(1, must(BYTES_RULE)).optional(),
    userdata: z
      .string(must('a script'))
      .refine((script) => utf8Length(script) <= USERDATA_MAX_BYTES, { error: `must be a script of at most ${USERDATA_MAX_BYTES} bytes` })
      .optional()
      .openapi({ description: 'A script that the VM runs once, after its secrets are in place' }),
    tags: tags.optional(),
    secrets: grantedNames.optional(),
    image: z.enum(['tiny', 'debian'], must('tiny or debian')).optional().openapi({
      description: "The guest image; absent for the group's. One of the user's own is named in the configuration only",
    }),
    credentials: z.array(credential, must('a list of credentials')).optional().openapi({ description: "Absent for the group's, [] for none" }),
    hypervisor: z.enum(['qemu', 'cloud-hypervisor', 'firecracker'], must('qemu, cloud-hypervisor or firecracker')).optional()
      .openapi({ description: "Absent for the group's" }),
    machine: z.enum(['q35', 'microvm'], must('q35 or microvm')).optional().openapi({ description: "QEMU's; absent for the group's" }),
    persistent: unsupported,
    gpu_count: unsupported,
    disk_image: unsupported,
    import_user: unsupported,
    github_user: unsupported,
    ssh_keys: unsupported,
    ip: unsupported,
    network: unsupported,
  })
  .openapi('LaunchNode');
export type LaunchBody = Pick<z.input<typeof launchBody>, 'cpus' | 'ram_bytes' | 'userdata' | 'tags' | 'secrets' | 'image' | 'credentials' | 'hypervisor' | 'machine'>;

export const deletedNode = z
  .object({ message: z.string().openapi({ example: 'Node deleted' }), disk_removed: z.enum(['true', 'false']) })
  .openapi('DeletedNode');
export type DeletedNode = z.infer<typeof deletedNode>;

// sun_path holds 108 bytes with the final NUL (unix(7)), and `_65535` is appended for a port.
const VSOCK_PATH_RULE = 'an absolute path of a Unix socket, at most 101 bytes';

export const attachBody = z
  .strictObject({
    hostname,
    vsock: z
      .string(must(VSOCK_PATH_RULE))
      .refine((path) => path.startsWith('/') && !path.includes('\0') && utf8Length(path) <= 101, must(VSOCK_PATH_RULE))
      .openapi({ description: "The VM's VSOCK socket: connections of the guest to port P arrive at PATH_P" }),
    tags: tags.optional(),
    secrets: grantedNames.optional(),
  })
  .openapi('AttachNode');
export type AttachBody = z.input<typeof attachBody>;
