// The agent's C code, with the compiler's sanitizers, in a process that is given the inputs one by one.
import assert from 'node:assert/strict';
import type { Target } from '../engine.ts';
import { SanitizedCalls } from '../sanitized/calls.ts';

let calls: SanitizedCalls | undefined;

/** A byte chooses each function, the next ones its arguments. */
const PROGRAMS = [[0, 31], [64, 95], [3, 60], [120, 250]].map(([from = 0, to = 0]) => Buffer.from(Array.from({ length: to - from }, (_, at) => from + at)));

const sys: Target = {
  name: 'agent-sys',
  of: 'agent/sys.c: any calls with any arguments, under the address and undefined behaviour sanitizers',
  corpus: [...PROGRAMS, Buffer.from([23, 1, 1, 1, 1, 1, 100, 1, 24, 1, 1, 1, 1, 1, 100, 25, 1, 1, 4, 1, 1, 1, 1, 1]), Buffer.alloc(60, 30)],
  words: ['\x1f\x07\x00', '\x08\x08', '\x00\x00\x01\x01'],
  maxBytes: 300,
  check: async (input) => {
    if (calls === undefined || calls.isEnded) calls = await SanitizedCalls.start();
    assert.equal(await calls.take(input), '');
  },
};

export const agentSysTargets: readonly Target[] = [sys];
