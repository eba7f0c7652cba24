// Replaces the two files of a generator, which always have the same value, until it is killed, and prints the
// number of each replacement that was acknowledged.
import { writeSync } from 'node:fs';
import { openVars } from '../../src/generate/vars-directory.ts';
import { Secret } from '../../src/secret/secret.ts';

const vars = openVars(process.argv[2] as string, (process.geteuid as () => number)());
for (let number = 0; ; number += 1) {
  const value = new Secret(Buffer.from(`${number} ${'x'.repeat(20_000)}`));
  vars.write({ machine: 'm', generator: 'g' }, ['a', 'b'].map((name) => ({ name, secret: true, value })), true);
  writeSync(1, `${number}\n`);
}
