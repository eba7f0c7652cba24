// The daemon itself.
import { z } from '@hono/zod-openapi';

export const hostInfo = z
  .object({ version: z.string(), git_commit: z.string(), platform: z.literal('linux'), arch: z.enum(['amd64', 'arm64']) })
  .openapi('Info');
export type HostInfo = z.infer<typeof hostInfo>;

export const liveness = z.object({ status: z.literal('ok') }).openapi('Liveness');
