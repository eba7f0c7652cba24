import { createHmac } from 'node:crypto';
import type { HmacSha256 } from '../wire/proof.ts';

export const hmacSha256: HmacSha256 = (key, text) =>
  createHmac('sha256', Buffer.from(key, 'latin1')).update(text, 'latin1').digest('hex');
