// The client's type declarations, for users who have neither its sources nor the libraries that its schemas are
// made of: the compiler writes them, and writes out what it infers from a schema.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { run } from '../../image/command.ts';
import { fail } from '../../src/errors/slicer-error.ts';

const ENTRY = 'src/client/sdk.ts';

/** A file whose types are inferred from schemas. */
const SCHEMAS = /from '@hono\/zod-openapi'/;

/** Declarations by their paths, `client/sdk.d.ts` and what it refers to. `scratch` is an empty directory below the checkout. */
export async function clientTypes(checkout: string, scratch: string): Promise<ReadonlyMap<string, string>> {
  const declared = join(scratch, 'declared');
  await compile(checkout, scratch, declared, [join(checkout, ENTRY)]);
  const found = new Map<string, string>();
  const take = async (path: string): Promise<void> => {
    if (found.has(path)) return;
    const text = await readFile(join(declared, path), 'utf8');
    found.set(path, text);
    if (SCHEMAS.test(text)) return;
    for (const [, specifier] of text.matchAll(/from '(\.[^']+)\.ts'/g)) await take(join(dirname(path), `${specifier}.d.ts`));
  };
  await take(ENTRY.replace(/\.ts$/, '.d.ts'));

  const inferred = [...found].filter(([, text]) => SCHEMAS.test(text));
  for (const [path, text] of await writtenOut(checkout, scratch, inferred)) found.set(path, text);
  return new Map([...found].map(([path, text]) => [relative('src', path), text.replace(/(from '\.[^']+)\.ts'/g, "$1.js'")]));
}

/** What is inferred through a function of a type without a name stands in the declaration with all its fields. */
async function writtenOut(checkout: string, scratch: string, modules: readonly (readonly [string, string])[]): Promise<[string, string][]> {
  const directory = join(scratch, 'written-out');
  await mkdir(directory);
  const files = await Promise.all(modules.map(async ([path, text]) => {
    const source = join(checkout, path.replace(/\.d\.ts$/, '.ts'));
    const names = [...text.matchAll(/^export type (\w+) =/gm)].map(([, name]) => name as string);
    const file = join(directory, basename(source));
    await writeFile(file, [
      `import type * as from from '${relative(directory, source)}';`,
      'declare function writeOut<T>(): { [Key in keyof T]: T[Key] };',
      ...names.map((name) => `export const ${name} = writeOut<from.${name}>();`), '',
    ].join('\n'));
    return { path, file };
  }));
  const declared = join(directory, 'declared');
  await compile(checkout, directory, declared, files.map(({ file }) => file));
  return Promise.all(files.map(async ({ path, file }): Promise<[string, string]> => {
    const text = await readFile(join(declared, relative(checkout, file).replace(/\.ts$/, '.d.ts')), 'utf8');
    const types = text.replaceAll(/^export declare const (\w+): /gm, 'export type $1 = ').replaceAll(/^export \{\};\n/gm, '');
    if (/\bimport\b|\bz\./.test(types)) throw fail('build_failed', `the types of ${path} can not be written out: they refer to a library`);
    return [path, types];
  }));
}

async function compile(checkout: string, directory: string, outDir: string, files: readonly string[]): Promise<void> {
  const config = join(directory, 'tsconfig.json');
  await writeFile(config, JSON.stringify({
    extends: join(checkout, 'tsconfig.json'),
    compilerOptions: { noEmit: false, declaration: true, emitDeclarationOnly: true, rootDir: checkout, outDir },
    files, include: [],
  }));
  await run(join(checkout, 'node_modules/.bin/tsc'), ['-p', config]);
}
