// What the tests and benchmarks need: packages of this machine, the build, the guest images. Run again it
// finds everything done, and says so in a line.
import { labObstacle } from '../test/lab/lab.ts';
import { ensureOuterSystem } from '../test/lab/outer-system.ts';
import { setUp } from './setup-steps.ts';
import { beginStages, runScript } from './stage.ts';

/** A step that only finds its work done takes less. */
const SHOWN_FROM_MS = 1000;

runScript(async () => {
  const stages = beginStages({ shownFromMs: SHOWN_FROM_MS });
  // Only root can make the Debian image, and only root runs the tests that boot it.
  await setUp(stages, ['run', 'build', 'test', ...(process.geteuid?.() === 0 ? ['debian'] as const : [])]);
  if (await labObstacle() === false) await stages.run('nested lab', ensureOuterSystem);
  process.stdout.write(`  everything is built ${' '.repeat(24)} ${(stages.elapsedMs() / 1000).toFixed(1)} s\n`);
});
