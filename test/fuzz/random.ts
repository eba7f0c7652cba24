// Random choices that a seed repeats: the same seed and number give the same input on every machine.

export interface Random {
  /** A whole number from 0 to below `limit`, which is 1 to 2^31. */
  below(limit: number): number;
  /** True once in `of` times. */
  once(of: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** Input `index` of `seed`, without those before it: so that each can be replayed alone. */
export function randomFor(seed: number, index: number): Random {
  // xorshift128 (Marsaglia), begun with two numbers that were mixed (MurmurHash3's finaliser).
  let a = mixed(seed | 0);
  let b = mixed(index | 0) ^ 0x9e3779b9;
  let c = mixed((seed ^ Math.imul(index, 0x85ebca6b)) | 0) | 1;
  let d = 0x6c078965;
  const next = (): number => {
    let t = a ^ (a << 11);
    t ^= t >>> 8;
    a = b;
    b = c;
    c = d;
    d ^= (d >>> 19) ^ t;
    return d >>> 0;
  };
  for (let round = 0; round < 8; round += 1) next();
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    once: (of) => below(of) === 0,
    pick: <T>(list: readonly T[]): T => list[below(list.length)] as T,
  };
}

function mixed(number: number): number {
  let hash = number;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
