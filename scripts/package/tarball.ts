// The tree of the Debian package as a tar archive, for any Linux: what is below usr/ stands at its top, so that
// it runs where it was unpacked.
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { run } from '../../image/command.ts';
import type { PackageArch } from './node-program.ts';
import type { PackageSource } from './source.ts';

/** Makes the archive of a tree that was laid out; its path in `directory`. */
export async function makeTarball(tree: string, directory: string, { version, timeS }: PackageSource, arch: PackageArch): Promise<string> {
  const name = `slicer-${version}-linux-${arch}`;
  const [tar, file] = [join(directory, `${name}.tar`), join(directory, `${name}.tar.gz`)];
  const everyTime = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--format=gnu', `--mtime=@${timeS}`];
  await run('tar', [...everyTime, '-C', tree, `--transform=s,^usr,${name},;s,^etc,${name}/etc,`, '-cf', tar, 'usr', 'etc']);
  await pipeline(createReadStream(tar), createGzip({ level: 9 }), createWriteStream(`${file}.new`));
  await rename(`${file}.new`, file);
  await rm(tar);
  return file;
}
