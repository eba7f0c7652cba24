// All changes that are struck, by their names.
import { AUDIT_OPERATIONS } from './audit-operations.ts';
import { RECORD_OPERATIONS } from './record-operations.ts';
import { STORE_OPERATIONS } from './store-operations.ts';
import { VARS_OPERATIONS } from './vars-operations.ts';
import type { Operation } from './operation.ts';

export const OPERATIONS: Readonly<Record<string, Operation>> = { ...STORE_OPERATIONS, ...VARS_OPERATIONS, ...RECORD_OPERATIONS, ...AUDIT_OPERATIONS };
