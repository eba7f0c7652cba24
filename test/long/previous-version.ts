// The version before this one, as git's tags have it, in a checkout of its own.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '../package/made-package.ts';

/** The nearest tag before this commit; undefined where there is none. */
export function previousTag(checkout = CHECKOUT): string | undefined {
  try {
    return execFileSync('git', ['describe', '--tags', '--abbrev=0', 'HEAD^'], { cwd: checkout, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** Puts the tag's files into a directory and builds them as its README says: path of the checkout. */
export function buildTag(tag: string, directory: string): string {
  const checkout = join(directory, 'previous');
  mkdirSync(checkout);
  execFileSync('tar', ['-x', '-C', checkout], { input: execFileSync('git', ['archive', tag], { cwd: CHECKOUT, maxBuffer: 2 ** 30 }) });
  const hasOurLibraries = readFileSync(join(checkout, 'package-lock.json')).equals(readFileSync(join(CHECKOUT, 'package-lock.json')));
  if (hasOurLibraries) symlinkSync(join(CHECKOUT, 'node_modules'), join(checkout, 'node_modules'));
  npm(checkout, 'build');
  return checkout;
}

/** Its Debian package; undefined where the tag makes none. */
export function packageOfTag(checkout: string): string | undefined {
  if (!existsSync(join(checkout, 'scripts/package.ts'))) return undefined;
  npm(checkout, 'package', '--', '--arch=x64');
  const name = readdirSync(join(checkout, 'dist')).find((file) => file.endsWith('_amd64.deb'));
  return name === undefined ? undefined : join(checkout, 'dist', name);
}

function npm(checkout: string, script: string, ...args: string[]): void {
  execFileSync('npm', ['run', '--silent', script, ...args], { cwd: checkout, stdio: ['ignore', 'ignore', 'pipe'] });
}
