// How full the boot channel of one VM is. Pure.
import { REQUEST_RESERVED_BYTES, type BootRoom, type StringCost } from './boot-room.ts';
import type { CredentialWish } from './credential.ts';

export interface Budget {
  readonly used: number;
  readonly limit: number;
}

/** Of the boot channel, with Slicer's own credentials and the static strings; those that it has. */
export interface Budgets {
  readonly strings?: Budget;
  readonly tableBytes?: Budget;
  /** The whole request, with what is kept for the rest of it. */
  readonly requestBytes?: Budget;
  readonly files?: Budget;
  /** systemd's, for all credentials of a system together. */
  readonly credentialBytes?: Budget;
}

/** One item that the firmware carries: what it is of systemd's budget, and what it costs as an OEM string. */
export type BootItemSize = StringCost & { readonly sizeBytes: number } & (
  | { readonly kind: 'own' }
  | { readonly kind: 'credential'; readonly wish: CredentialWish }
  | { readonly kind: 'static' }
);

/** systemd: CREDENTIALS_TOTAL_SIZE_MAX. */
const CREDENTIALS_MAX_BYTES = 1024 * 1024;

export function budgetsOf({ form, maxItems, tableMaxBytes, requestMaxBytes }: BootRoom, items: readonly BootItemSize[]): Budgets {
  const used = (of: keyof StringCost): number => items.reduce((sum, item) => sum + item[of], 0);
  return {
    [form === 'oem-string' ? 'strings' : 'files']: { used: items.length, limit: maxItems },
    ...(tableMaxBytes === undefined ? {} : { tableBytes: { used: used('tableBytes'), limit: tableMaxBytes } }),
    ...(requestMaxBytes === undefined ? {} : { requestBytes: { used: REQUEST_RESERVED_BYTES + used('requestBytes'), limit: requestMaxBytes } }),
    credentialBytes: credentialBytesOf(items),
  };
}

export function credentialBytesOf(items: readonly BootItemSize[]): Budget {
  return { used: items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), limit: CREDENTIALS_MAX_BYTES };
}
