// Values that tell whether they are whole, and which of two is newer; and what has to hold in a guest while
// they change as fast as they can, with its daemon and its agent killed. The same checks, few or many times.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { randomFrom } from '../crash/sample.ts';
import { compileForGuest } from './guest-programs.ts';
import { MISSING_COMPILER } from './parts.ts';
import { eventually } from './patience.ts';
import { oneGroup, withSlicer, type Slicer } from './slicer.ts';

const NAME = 'counted';
const FILE = `/run/slicer/secrets/${NAME}`;
const SIZE_MAX = 60_000;
const skip = MISSING_COMPILER;

export interface Rounds {
  readonly changes: number;
  readonly kills: number;
}

/** The tests, in a VM that all of them share. */
export function testCountedValues({ changes, kills }: Rounds): void {
  const fixture = withSlicer(oneGroup(), { skip, prepare: async (slicer) => slicer.put(NAME, countedValue(0)) });
  const random = randomFrom(20);
  /** The last value that was acknowledged, and the next one's number. */
  let acknowledged = 0;

  const change = async (slicer: Slicer): Promise<boolean> => {
    const next = acknowledged + 1;
    const data = Buffer.from(countedValue(next)).toString('base64');
    const answer = await slicer.api('PATCH', `/secrets/${NAME}`, { data }).catch(() => undefined);
    if (answer?.status === 200) acknowledged = next;
    return answer?.status === 200;
  };

  const readerEndsWellAfter = async (context: TestContext, slicer: Slicer): Promise<void> => {
    await slicer.untilHolds('vm-1');
    await slicer.inGuest('vm-1', 'touch /tmp/stop');
    let printed = '';
    await eventually(() => `the reader ends: ${printed}`, async () => {
      printed = await slicer.inGuest('vm-1', 'cat /tmp/reader.out');
      return printed.endsWith('\n');
    });
    context.diagnostic(`in all: ${printed.trim()}`);
    assert.match(printed, new RegExp(`^[0-9]+ reads, [0-9]+ values, newest ${acknowledged}\n$`));
    assert.equal(await slicer.inGuest('vm-1', 'ls -A /run/slicer/secrets; ls -A /run/slicer/secrets.agent/staging'), `${NAME}\n`);
    assert.deepEqual(readdirSync(slicer.path('.secrets')), [NAME]);
  };

  const startReader = (slicer: Slicer): Promise<string> =>
    slicer.inGuest('vm-1', `rm -f /tmp/stop; setsid /tmp/reader ${FILE} /tmp/stop > /tmp/reader.out 2>&1 < /dev/null &`);

  test(`while a secret changes ${changes} times at full speed, every read in the guest is a whole value, and none is older than the one before`, { skip }, async (context) => {
    const { slicer } = fixture;
    await slicer.launch();
    await slicer.push('vm-1', compileForGuest('reader'), '/tmp/reader');
    await startReader(slicer);
    for (let count = 0; count < changes; count += 1) assert.ok(await change(slicer), slicer.daemonOutput);
    await readerEndsWellAfter(context, slicer);
  });

  test(`a daemon that is killed ${kills} times while a secret changes loses none that was acknowledged, and no read in the guest goes back`, { skip }, async (context) => {
    const { slicer } = fixture;
    await startReader(slicer);
    for (let round = 0; round < kills; round += 1) {
      const killed = delay(random() * 300).then(() => slicer.stop('SIGKILL'));
      while (await change(slicer));
      await killed;
      const counter = Number.parseInt(readFileSync(slicer.path('.secrets', NAME), 'utf8'), 10);
      assert.equal(readFileSync(slicer.path('.secrets', NAME), 'utf8'), countedValue(counter));
      // The change under way at the kill is there or it is not.
      assert.ok(counter === acknowledged || counter === acknowledged + 1, `${acknowledged} was acknowledged, ${counter} is there`);
      acknowledged = counter;
      await slicer.start();
    }
    await readerEndsWellAfter(context, slicer);
  });

  test(`an agent that is killed ${kills} times while it writes leaves no part of a value, and no read in the guest goes back`, { skip }, async (context) => {
    const { slicer } = fixture;
    await startReader(slicer);
    let isDone = false;
    const changing = (async () => {
      while (!isDone) assert.ok(await change(slicer), slicer.daemonOutput);
    })();
    try {
      for (let round = 0; round < kills; round += 1) {
        await delay(random() * 100);
        // The command ends with the agent that runs it; one that has not come back yet is waited for.
        const agent = '$(pidof slicer-agent)';
        await eventually('the agent is killed', async () => {
          const { stdout } = await slicer.run(['vm', 'exec', 'vm-1', '--shell', '--', `echo killing; kill -9 ${agent}`]);
          return stdout === 'killing\n';
        });
      }
    } finally {
      isDone = true;
      await changing;
    }
    await readerEndsWellAfter(context, slicer);
  });
}

/** Of many sizes, so that a mix of two shows. */
function countedValue(counter: number): string {
  const text = `${counter} ${'x'.repeat((counter * 7919) % SIZE_MAX)} `;
  let hash = 2166136261;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 16777619);
  return text + (hash >>> 0).toString(16).padStart(8, '0');
}
