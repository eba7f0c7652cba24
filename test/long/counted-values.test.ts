// 10,000 changes, and 100 kills of the daemon and of the agent, under the eyes of a reader in the guest.
import { testCountedValues } from '../vm/counted-values.ts';
import { ROUNDS } from './storm.ts';

testCountedValues({ changes: 100 * ROUNDS, kills: ROUNDS });
