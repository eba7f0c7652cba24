// Changes a secret until it is killed, and prints the number of each change that was acknowledged.
import { writeSync } from 'node:fs';
import { parseSecretName, type SecretName } from '../../src/secret/name.ts';
import { Secret } from '../../src/secret/secret.ts';
import { openStore } from '../../src/store/store.ts';

const store = await openStore(process.argv[2] as string);
const name = parseSecretName('s') as SecretName;
const attributes = { mode: 0o600, uid: process.geteuid?.() as number, gid: process.getegid?.() as number };
for (let number = 0; ; number += 1) {
  const value = new Secret(Buffer.from(`${number} ${'x'.repeat(20_000)}`));
  if (store.snapshot().secrets.has(name)) await store.update(name, { value });
  else await store.create(name, value, attributes);
  writeSync(1, `${number}\n`);
}
