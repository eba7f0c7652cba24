// Bodies of /secrets. Values go in and never come out.
import { z } from '@hono/zod-openapi';
import { DEFAULT_ATTRIBUTES } from '../secret/file-attributes.ts';
import type { Secret } from '../secret/secret.ts';
import { duration, id, issue, permissions, secretName, secretValue, timestamp } from './fields.ts';

export const secretPath = z.object({ name: secretName });

/** How long a change waits for running VMs; without it, it does not. */
export const changeQuery = z.strictObject({ wait: duration.optional() });

export const secretInfo = z
  .object({
    name: z.string(),
    size: z.int().openapi({ description: 'Bytes' }),
    permissions: z.string().openapi({ example: '0600' }),
    uid: z.int(),
    gid: z.int(),
    mod_time: timestamp,
    modified_at: timestamp.openapi({ description: 'The same as mod_time, under the name that other clients read' }),
  })
  .openapi('Secret');
export type SecretInfo = z.infer<typeof secretInfo>;

/** A file of the store that is not served. */
const skippedFile = z.object({ file: z.string(), reason: z.string() }).openapi('SkippedFile');
export type SkippedFile = z.infer<typeof skippedFile>;

export const storeState = z
  .object({
    skipped: z.array(skippedFile),
    problem: z.string().optional().openapi({ description: 'Why the directory cannot be read or trusted at the moment' }),
  })
  .openapi('StoreState');
export type StoreState = z.infer<typeof storeState>;

/** Where a change stands in the running VMs that are granted the secret. */
export const delivery = z
  .object({
    holding: z.int().openapi({ description: 'Running VMs that have the change' }),
    running: z.int().openapi({ description: 'Running VMs that are granted the secret' }),
    pending: z.array(z.string()).openapi({ description: 'Host names of those that do not have it yet' }),
  })
  .openapi('Delivery');
export type Delivery = z.infer<typeof delivery>;

export const changedSecret = secretInfo.extend({ delivery: delivery.optional() }).openapi('ChangedSecret');
export type ChangedSecret = z.infer<typeof changedSecret>;

export const removedSecret = z.object({ name: z.string(), delivery: delivery.optional() }).openapi('RemovedSecret');
export type RemovedSecret = z.infer<typeof removedSecret>;

const attributes = { permissions: permissions.optional(), uid: id.optional(), gid: id.optional() };

export const createSecretBody = z
  .strictObject({ name: secretName, data: secretValue, ...attributes })
  .transform(({ name, data, permissions: mode, uid, gid }) => ({
    name,
    value: data,
    attributes: {
      mode: mode ?? DEFAULT_ATTRIBUTES.mode,
      uid: uid ?? DEFAULT_ATTRIBUTES.uid,
      gid: gid ?? DEFAULT_ATTRIBUTES.gid,
    },
  }))
  .openapi('CreateSecret');
export type CreateSecretBody = z.input<typeof createSecretBody>;

interface Change {
  readonly value?: Secret;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

// Clients in the field always send `data`, empty when only the mode or owner changes: that must not
// blank the value. So an empty value has to be asked for by name.
export const updateSecretBody = z
  .strictObject({ data: secretValue.optional(), allow_empty: z.boolean().optional(), ...attributes })
  .transform(({ data, allow_empty: allowEmpty, permissions: mode, uid, gid }, context): Change => {
    const isAttributeChange = mode !== undefined || uid !== undefined || gid !== undefined;
    const keepsValue = data === undefined || (data.sizeBytes === 0 && allowEmpty !== true);
    if (keepsValue && !isAttributeChange) {
      context.addIssue(
        data === undefined
          ? issue('invalid_request', 'nothing to change: expected data, permissions, uid or gid')
          : issue('empty_value', 'the value is empty', 'send "allow_empty": true to make the secret empty'),
      );
      return z.NEVER;
    }
    return {
      ...(keepsValue ? {} : { value: data }),
      ...(mode === undefined ? {} : { mode }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    };
  })
  .openapi('UpdateSecret');
export type UpdateSecretBody = z.input<typeof updateSecretBody>;
