import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail, SlicerError } from '../../src/errors/slicer-error.ts';
import { allSteps, beginStages } from '../../scripts/stage.ts';

/** Stages whose clock and output are a test's. */
function lab(options: { isTTY?: boolean; shownFromMs?: number } = {}) {
  let clock = 0;
  let text = '';
  const stages = beginStages({
    ...options,
    now: () => clock,
    output: { isTTY: options.isTTY ?? false, columns: 80, write: (more: string) => { text += more; } },
  });
  return { stages, pass: (ms: number) => { clock += ms; }, text: () => text };
}

test('a step is shown with its time', async () => {
  const { stages, pass, text } = lab();
  assert.equal(await stages.run('kernel', async () => { pass(1234); return 7; }), 7);
  assert.match(text(), /^ {2}kernel +1\.2 s\n$/);
});

test('a step that found its work done is not shown, one that spoke is', async () => {
  const { stages, text } = lab({ shownFromMs: 1000 });
  await stages.run('quiet', async () => undefined);
  assert.equal(text(), '');
  await stages.run('loud', async (say) => say('installing gcc'));
  assert.match(text(), /^ {2}loud: installing gcc\n {2}loud +0\.0 s\n$/);
});

test('a log gets the first word of a step and then a line every five seconds', async () => {
  const { stages, pass, text } = lab();
  await stages.run('packages', async (say) => {
    for (let index = 0; index < 12; index += 1) {
      say(`word ${index}`);
      pass(1000);
    }
  });
  assert.deepEqual(text().match(/word \d+/g), ['word 0', 'word 5', 'word 10']);
});

test('a terminal keeps the first word and replaces what follows', async () => {
  const { stages, text } = lab({ isTTY: true });
  await stages.run('packages', async (say) => {
    say('installing gcc');
    say('Unpacking gcc');
  });
  assert.ok(text().includes('packages: installing gcc\n'));
  assert.ok(text().includes('packages: Unpacking gcc') && !text().includes('packages: Unpacking gcc\n'));
});

test('a failure names its step and keeps its hint', async () => {
  const { stages, text } = lab();
  const failing = stages.run('busybox', async () => { throw fail('build_failed', 'no network', 'plug it in'); });
  await assert.rejects(failing, (error: SlicerError) => {
    assert.deepEqual(error.problems, [{ code: 'build_failed', message: 'step "busybox" failed: no network', hint: 'plug it in' }]);
    return true;
  });
  assert.match(text(), /busybox +failed after 0\.0 s/);
});

test('of steps side by side all that failed are reported, after all have ended', async () => {
  const { stages } = lab();
  let ended = false;
  const steps = [
    stages.run('one', async () => { throw fail('build_failed', 'first'); }),
    stages.run('two', async () => { await new Promise((resolve) => setImmediate(resolve)); ended = true; }),
    stages.run('three', async () => { throw fail('build_failed', 'second'); }),
  ];
  await assert.rejects(allSteps(steps), (error: SlicerError) => {
    assert.deepEqual(error.problems.map(({ message }) => message), ['step "one" failed: first', 'step "three" failed: second']);
    return true;
  });
  assert.ok(ended);
});
