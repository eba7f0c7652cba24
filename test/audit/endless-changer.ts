// Changes secrets, each on record, until it is killed, and says which it acknowledges: `N event`.
import { join } from 'node:path';
import { recordChange } from '../../src/audit/change.ts';
import { openAuditLog } from '../../src/audit/log.ts';
import { DEFAULT_ATTRIBUTES } from '../../src/secret/file-attributes.ts';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import { openStore } from '../../src/store/store.ts';

const [directory = '', prefix = ''] = process.argv.slice(2);
const log = openAuditLog({ path: join(directory, 'audit.log'), maxBytes: 4096, keep: 1000, nowMs: Date.now, onWritable: () => undefined });
const store = await openStore(join(directory, '.secrets'));
for (let number = 0; ; number += 1) {
  const name = parseSecretName(`${prefix}-${number}`) as SecretName;
  await recordChange(log, `${prefix}-${number}`, { actor: 'admin', event: 'create', secret: name }, () => store.create(name, new Secret(Buffer.from('x')), DEFAULT_ATTRIBUTES));
  process.stdout.write(`${number}\n`);
}
