// Records of the audit log, as `GET /audit` sends them and as they stand in the file.
import { z } from '@hono/zod-openapi';
import { flag, hostname, secretName, timestamp } from './fields.ts';

const AUDIT_EVENTS = [
  'create', 'update', 'remove', 'read', 'grant', 'exec', 'delete', 'refusal', 'start', 'stop', 'gap',
] as const;

const AUDIT_OUTCOMES = ['begun', 'ok', 'failed', 'refused'] as const;

export const auditRecord = z.object({
  time: timestamp,
  actor: z.string().openapi({
    description: "An API token's name, the role of a Unix socket (admin, read), vm, file, daemon, nobody or anybody", example: 'admin',
  }),
  event: z.enum(AUDIT_EVENTS),
  vm: z.string().optional(),
  secret: z.string().optional(),
  outcome: z.enum(AUDIT_OUTCOMES),
  reason: z.string().optional().openapi({ description: 'A code: why it failed or was refused', example: 'wrong_key' }),
  id: z.string().optional().openapi({ description: 'The same in the record of a beginning and in that of its end' }),
  channel: z.enum(['boot', 'live']).optional(),
  credential: z.string().optional().openapi({ description: 'The systemd credential that the secret was read as' }),
  grant: z.union([z.literal('all'), z.array(z.string())]).optional(),
  credentials: z.array(z.object({ name: z.string(), secret: z.string() })).optional(),
  request: z.string().optional().openapi({ description: 'Method and path of a refused request', example: 'POST /secrets' }),
  exit_code: z.int().optional(),
  suppressed: z.int().optional().openapi({ description: 'How many more like this one have no record of their own' }),
}).openapi('AuditRecord');

export const auditQuery = z.strictObject({
  vm: hostname.optional(),
  secret: secretName.optional(),
  since: z.iso.datetime({ offset: true, error: 'must be a time as RFC 3339 has it' }).optional()
    .openapi({ format: 'date-time', description: 'Only what is not older' }),
  follow: flag.optional().openapi({ type: 'boolean', description: 'Goes on with what is still to come' }),
});

export type AuditRecord = z.infer<typeof auditRecord>;
