// The VM of the recorded conversations: what the host knows of it, and draws for it, is the same in each run.
import type { Options } from './live-vm.ts';
import { secretName } from './memory-store.ts';

const RECORDED_TOKEN = 'ab'.repeat(32);

/** 64 digits that are told apart at a glance. */
export const counting = (digit: string) => {
  let count = 0;
  return () => {
    count += 1;
    return `${digit}${count}`.repeat(32);
  };
};

/** Of wire version 1. Another version that needs another VM gets its own. */
export const recordedVm = (): Options => ({
  bootToken: RECORDED_TOKEN,
  credentials: [{ name: 'app.api-key', secret: secretName('api-key'), trimNewline: true }],
  userdata: Buffer.from('#!/bin/sh\necho ready\n'),
  randomHex: counting('a'),
});
