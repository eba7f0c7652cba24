// What the storms share: random changes of the store that can be repeated, and the check that guests hold
// what the store holds.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { eventually } from '../vm/patience.ts';
import type { Slicer } from '../vm/slicer.ts';

/** How many rounds: fewer to try a storm out. */
export const ROUNDS = Number(process.env['SLICER_STORM_ROUNDS'] ?? 100);

const NAMES = Array.from({ length: 20 }, (_, number) => `storm-${number}`);

/** One random change of the store, by hand. */
export function changeByHand(slicer: Slicer, random: () => number): void {
  const name = NAMES[Math.floor(random() * NAMES.length)] as string;
  if (random() < 0.2) rmSync(slicer.path('.secrets', name), { force: true });
  else slicer.put(name, `${name} is ${random()}\n`.repeat(1 + Math.floor(random() * 200)));
}

/** Resolves when the guest's directory is what the store is, less what is not granted. */
export async function untilEqual(slicer: Slicer, vm: string, isGranted: (name: string) => boolean): Promise<void> {
  const wanted = readdirSync(slicer.path('.secrets')).filter((name) => !name.startsWith('.') && isGranted(name)).sort()
    .map((name) => `${createHash('sha256').update(readFileSync(slicer.path('.secrets', name))).digest('hex')}  ${name}\n`).join('');
  let held = '';
  await eventually(() => `the guest holds what the store does, and not:\n${held}`, async () => {
    const { stdout, stderr, exitCode } = await slicer.run(['vm', 'exec', vm, '--shell', '--', 'cd /run/slicer/secrets && for file in *; do [ -e "$file" ] && sha256sum "$file"; done | sort -k 2; true']);
    held = stdout + stderr;
    return exitCode === 0 && stdout === wanted;
  });
}
