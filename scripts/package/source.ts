// What a package is made from, as the checkout has it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findCommand, run } from '../../image/command.ts';

/** What a package is made from. */
export interface PackageSource {
  readonly checkout: string;
  /** Where `npm run build` put the bundle and the agents. */
  readonly build: string;
  readonly version: string;
  /** The commit's time, seconds since 1970: nothing in a package is of another. */
  readonly timeS: number;
}

/** The time is `$SOURCE_DATE_EPOCH`, else the commit's, else, where there is no git, 1 January 2025. */
export async function packageSource(checkout: string): Promise<PackageSource> {
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string };
  const wanted = process.env['SOURCE_DATE_EPOCH'];
  const time = wanted ?? (findCommand('git') === undefined ? '' : await run('git', ['log', '-1', '--format=%ct'], { cwd: checkout }).catch(() => ''));
  return { checkout, build: join(checkout, 'build'), version, timeS: Number(time.trim() || Date.UTC(2025, 0, 1) / 1000) };
}
