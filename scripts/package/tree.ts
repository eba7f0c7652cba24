// The tree that a package installs, below a directory that stands for `/`. Of the same sources and the same
// commit it is the same to the byte: names, modes, times.
import { chmod, copyFile, cp, mkdir, readFile, readdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { agentFileName } from '../../image/agent.ts';
import { AGENT_ARCHS } from '../../image/compiler.ts';
import { commandShapes } from '../../src/cli/command-shape.ts';
import { GROUPS } from '../../src/cli/command-table.ts';
import { bashCompletion } from '../../src/cli/completion/bash.ts';
import { fishCompletion } from '../../src/cli/completion/fish.ts';
import { treeOf } from '../../src/cli/completion/tree.ts';
import { zshCompletion } from '../../src/cli/completion/zsh.ts';
import type { Context } from '../../src/cli/context.ts';
import { renderNewConfig } from '../../src/config/new-config.ts';
import { changelog, copyright } from './documents.ts';
import { manPage } from './man-page.ts';
import type { PackageSource } from './source.ts';

/** A Node to come along: its program, and what its authors allow. */
export interface NodeProgram {
  readonly program: string;
  readonly license: string;
}

/** Where the program's parts are, below the tree. */
const LIBRARY = 'usr/lib/slicer';
const DOCUMENTATION = 'usr/share/doc/slicer';

const context: Context = { argv: [], env: {}, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, exitCode: 0 };

/** Lays the tree out in a directory that is there and empty. */
export async function layOut(root: string, source: PackageSource, node: NodeProgram): Promise<void> {
  const { checkout, build, version, timeS } = source;
  const put = async (path: string, data: string | Uint8Array, mode = 0o644): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), data);
    await chmod(join(root, path), mode);
  };
  const bring = async (file: string, path: string, mode = 0o644): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await copyFile(file, join(root, path));
    await chmod(join(root, path), mode);
  };

  await bring(join(checkout, 'packaging/slicer'), 'usr/bin/slicer', 0o755);
  await bring(node.program, `${LIBRARY}/node`, 0o755);
  await bring(join(checkout, 'bin/slicer'), `${LIBRARY}/bin/slicer`);
  await put(`${LIBRARY}/package.json`, `${JSON.stringify({ name: 'slicer', version }, undefined, 2)}\n`);
  await bring(join(build, 'slicer.cjs'), `${LIBRARY}/build/slicer.cjs`);
  for (const name of await bundles(join(build, 'commands'))) await bring(join(build, 'commands', name), `${LIBRARY}/build/commands/${name}`);
  for (const arch of AGENT_ARCHS) await bring(join(build, agentFileName(arch)), `${LIBRARY}/build/${agentFileName(arch)}`, 0o755);
  for (const image of ['tiny', 'debian']) await cp(join(checkout, 'image', image), join(root, LIBRARY, 'image', image), { recursive: true });

  const commands = await commandShapes(context);
  const tree = treeOf(GROUPS, commands);
  await put('usr/share/bash-completion/completions/slicer', bashCompletion(tree));
  await put('usr/share/zsh/vendor-completions/_slicer', zshCompletion(tree));
  await put('usr/share/fish/vendor_completions.d/slicer.fish', fishCompletion(tree));
  await put('usr/share/man/man1/slicer.1.gz', gzipSync(manPage({ version, timeS, commands }), { level: 9 }));

  await bring(join(checkout, 'packaging/slicer.service'), 'usr/lib/systemd/system/slicer.service');
  await put('etc/slicer/slicer.yaml', serviceConfig());
  await put(`${DOCUMENTATION}/copyright`, await copyright(checkout));
  await put(`${DOCUMENTATION}/changelog.gz`, gzipSync(changelog(source), { level: 9 }));
  await put(`${DOCUMENTATION}/node-license.gz`, gzipSync(await readFile(node.license), { level: 9 }));
  await bring(join(checkout, 'README.md'), `${DOCUMENTATION}/README.md`);
  for (const name of await readdir(join(checkout, 'docs'))) {
    if (name.endsWith('.md')) await bring(join(checkout, 'docs', name), `${DOCUMENTATION}/docs/${name}`);
  }
  await bring(join(checkout, 'packaging/lintian-overrides'), 'usr/share/lintian/overrides/slicer');
  await settle(root, timeS);
}

/** What `slicer new` prints, with the service's own places. */
export function serviceConfig(): string {
  const places: readonly (readonly [string, string])[] = [
    ['# Configuration of Slicer. Relative paths start from the directory that `slicer up` runs in.',
      '# Configuration of the service slicer. Relative paths start from /var/lib/slicer.\n# After a change: slicer check /etc/slicer/slicer.yaml && systemctl restart slicer'],
    ['secrets_dir: ./.secrets', 'secrets_dir: /var/lib/slicer/secrets'],
    ['bind_address: ./slicer.sock', 'bind_address: /run/slicer/slicer.sock'],
  ];
  return places.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`slicer new does not print: ${from}`);
    return text.replace(from, to);
  }, renderNewConfig('web'));
}

/** What else lies there may be left of an older build. */
async function bundles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith('.cjs')).sort();
}

/** Gives everything its mode and its time, a directory after what is in it. */
async function settle(directory: string, timeS: number): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await settle(path, timeS);
    else await utimes(path, timeS, timeS);
  }
  await chmod(directory, 0o755);
  await utimes(directory, timeS, timeS);
}
