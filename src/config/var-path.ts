// Where a value that was generated is: `<vars>/<machine>/<generator>/<file>`. Who makes values and who
// reads them agree here. Pure.
import { join } from 'node:path';

/** Beside the store, whose default is ./.secrets. */
export const DEFAULT_VARS_DIR = './vars';

/** One value: the file of a generator, for a machine. */
export interface VarName {
  readonly machine: string;
  readonly generator: string;
  readonly file: string;
}

/** In the place of a machine: the values of generators with `share`. No machine can be called so. */
export const SHARED = '.shared';

/** All names are path components by the rules of who read them. */
export const varPath = (varsDir: string, { machine, generator, file }: VarName): string => join(varsDir, machine, generator, file);

/** The generator that makes an instance's secrets with `generateSecret`: one file for each, by the secret's name. */
export const instanceGenerator = (instance: string): string => `microvm-${instance}`;
