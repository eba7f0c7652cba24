// What a Debian package says of itself: whose work it holds, and its history.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackageSource } from './source.ts';

/** Nobody is meant by name, and no machine. */
export const MAINTAINER = 'The authors of Slicer <slicer@localhost.localdomain>';

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

/** Of Slicer, of what its bundle and its agents are made with, and where the texts for Node are. */
export async function copyright(checkout: string): Promise<string> {
  const lock = JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')) as { packages: Record<string, LockedPackage> };
  const libraries = Object.entries(lock.packages)
    .filter(([path, { dev }]) => path.startsWith('node_modules/') && dev !== true && !/^node_modules\/node-linux-/.test(path))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  const texts = await Promise.all(libraries.map(async ([path, { version, license }]) => {
    const text = await licenseText(join(checkout, path));
    return `${path.slice('node_modules/'.length)} ${version} (${license})\n\n${text.trim()}\n`;
  }));
  return [`Slicer: copyright its authors.

It comes with these works of others:

- Node.js, /usr/lib/slicer/node, as its authors built it: node-license.gz.
- In the agents: QuickJS, copyright 2017-2025 Fabrice Bellard and Charlie Gordon (MIT, below); and the GNU C
  library, copyright the Free Software Foundation and others (LGPL 2.1 or later: /usr/share/common-licenses/LGPL-2.1).
- In /usr/lib/slicer/build: the libraries below, each with its license.
`, `MIT

${MIT}`, ...texts].join(`\n${'-'.repeat(80)}\n\n`);
}

async function licenseText(directory: string): Promise<string> {
  const name = (await readdir(directory)).find((file) => /^licen[cs]e/i.test(file));
  const text = name === undefined ? 'It has no file of its own with the text of this license.' : await readFile(join(directory, name), 'utf8');
  // Every Debian has this one (Debian Policy, 12.5).
  return /Apache License\s+Version 2\.0/.test(text) ? 'The text of this license is in /usr/share/common-licenses/Apache-2.0.' : text;
}

/** deb-changelog(5). */
export function changelog({ version, timeS }: Pick<PackageSource, 'version' | 'timeS'>): string {
  const date = new Date(timeS * 1000).toUTCString().replace('GMT', '+0000');
  return `slicer (${debianVersion(version)}) unstable; urgency=medium

  * What changed is in the history of the sources.

 -- ${MAINTAINER}  ${date}
`;
}

/** A version before another sorts before it here too: `1.0.0-rc.1` is `1.0.0~rc.1` (deb-version(7)). */
export const debianVersion = (version: string): string => version.replace('-', '~').replaceAll('-', '.');

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in
all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL
THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN
THE SOFTWARE.
`;
