// What one VM tells of itself: console log, agent health, secrets.
import { z } from '@hono/zod-openapi';
import { timestamp, wholeNumber } from './fields.ts';

const LOG_LINES_MAX = 1_000_000;

export const logsQuery = z.strictObject({
  lines: wholeNumber(LOG_LINES_MAX).optional().openapi({ description: 'How many of the last lines; 20 when absent, 0 for all' }),
});

export const vmLogs = z
  .object({ hostname: z.string(), lines: z.int(), content: z.string() })
  .openapi('Logs', { description: 'Console output as the guest wrote it: escape it before it reaches a terminal' });
export type VmLogs = z.infer<typeof vmLogs>;

export const vmHealth = z
  .object({
    hostname: z.string(),
    agent_uptime: z.int().openapi({ description: "Nanoseconds, as Go's time.Duration" }),
    agent_version: z.string(),
    system_uptime: z.int().openapi({ description: "Nanoseconds, as Go's time.Duration" }),
    userdata_ran: z.boolean(),
    userdata_exit_code: z.int().optional().openapi({ description: 'Present once userdata has run' }),
  })
  .openapi('Health');
export type VmHealth = z.infer<typeof vmHealth>;

const guestError = z
  .object({ code: z.string().openapi({ description: 'An errno name such as ENOSPC, or protocol' }), message: z.string() })
  .openapi('GuestError');

const vmSecret = z
  .object({
    name: z.string(),
    credential: z.string().optional().openapi({
      description: 'The systemd credential that the secret is in the guest; absent for its file. A secret that is both is listed twice',
    }),
    state: z.enum(['current', 'pending', 'failed']).openapi({
      description: 'current: the newest value is in the guest; pending: on its way; failed: the guest said why',
    }),
    since: timestamp.optional().openapi({ description: 'When the guest confirmed the newest value; for current only' }),
    error: guestError.optional(),
  })
  .openapi('VmSecret');
export type VmSecret = z.infer<typeof vmSecret>;

export const vmSecrets = z
  .object({
    hostname: z.string(),
    connected: z.boolean().openapi({ description: 'Whether the agent holds its connection' }),
    synced: z.boolean().openapi({ description: 'Whether the guest confirmed a sync since it was launched or adopted' }),
    secrets: z.array(vmSecret),
    errors: z.array(guestError).openapi({ description: "Faults that are not one secret's" }),
  })
  .openapi('VmSecrets');
export type VmSecrets = z.infer<typeof vmSecrets>;
