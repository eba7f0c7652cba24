// A hostile guest costs the host what docs/security.md says, and its neighbours nothing: a short form, whose
// whole is in test/long. What each attack does is in hostile.c and hostile-agent.c.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { costText, lyingAgents, withHostileGuest } from './hostile-guest.ts';

const ORDINARY_USER = 1000;
const ROOT = 0;

const { fixture, skip, guest } = withHostileGuest();

for (const words of [
  ['connections', '500', '500'], ['heads', '500000', '500'], ['bodies', '500000', '500'], ['slow-write', '50', '500'], ['slow-read', '50', '500'], ['pipeline', '40', '300'], ['keys', '60', '500'],
]) {
  test(`${words[0]} of an ordinary user are bounded on the host, and a neighbour gets its changes`, { skip }, async (t) => {
    t.diagnostic(costText(await guest().attack(words, ORDINARY_USER)));
  });
}

test('after all that the guest\'s own agent is well', { skip }, async () => {
  await guest().untilWell();
});

test('odd forms of requests, and claims to be another VM, bring nothing but refusals', { skip }, async () => {
  const { said } = await guest().attack(['requests'], ORDINARY_USER);
  const outcomes = said.trimEnd().split('\n');
  assert.ok(outcomes.length > 40);
  for (const outcome of outcomes) assert.match(outcome, /^form \d+: (nothing|HTTP\/1\.1 4(00|01|04|11|17) .*)$/);
});

test('of all ports of the host that are reserved the guest reaches one', { skip }, async () => {
  const { said } = await guest().attack(['ports', '1', '1023', '1000'], ROOT);
  assert.match(said, /^ports: 901\nports: tried 1023, taken 1\n$/);
});

test('a flood of the console is bounded on disk, and steers no terminal', { skip }, async () => {
  const { slicer } = fixture;
  await guest().attack(['console', '1000000', '500'], ROOT);
  const files = ['console.log', 'console.log.1'].map((name) => statSync(slicer.path('.slicer/vms/vm-1', name), { throwIfNoEntry: false })?.size ?? 0);
  assert.ok((files[0] as number) + (files[1] as number) <= 1024 * 1024);
  const shown = await slicer.ok(['vm', 'logs', 'vm-1', '--lines=0']);
  assert.ok(shown.includes('\\x1b[2J'));
  assert.doesNotMatch(shown, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
});

for (const [words, calls] of [
  [['reports', '60', '500']], [['endless-output', '1', '1500'], lyingAgents.bufferedCommand],
] as const) {
  test(`${words[0]} of root in the agent's place are bounded on the host, in its log too, and a neighbour gets its changes`, { skip }, async (t) => {
    t.diagnostic(costText(await guest().attackAsAgent(words, calls)));
  });
}

test('when the agent is back in its place all is well again, and another VM can be launched', { skip }, async () => {
  await guest().untilWell();
});

test('every refusal is on record, claims to be another VM as those of the VM that made them, at a bounded rate, with how many there were', { skip }, async () => {
  const { slicer } = fixture;
  // What waits for its turn is written when the VM goes.
  await slicer.ok(['vm', 'delete', 'vm-1']);
  const records = readFileSync(slicer.path('.slicer/audit.log'), 'utf8').trimEnd().split('\n')
    .map((line) => JSON.parse(line) as { event: string; vm?: string; actor: string; reason?: string; suppressed?: number })
    .filter(({ event }) => event === 'refusal');
  const reasons = new Map<string, number>();
  for (const { reason = '', suppressed = 0 } of records) reasons.set(reason, (reasons.get(reason) ?? 0) + 1 + suppressed);
  for (const reason of ['too_many_connections', 'too_large', 'malformed', 'no_key', 'wrong_key', 'not_granted']) {
    assert.ok((reasons.get(reason) ?? 0) > 0, `no record of ${reason}: ${JSON.stringify([...reasons])}`);
  }
  assert.ok(records.length < 100, `${records.length} records`);
  assert.ok(records.every(({ actor, vm }) => actor === 'vm' && vm === 'vm-1'));
});
