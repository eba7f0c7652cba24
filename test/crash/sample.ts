// Choices that a seed repeats.

/** Numbers from 0 to below 1 (Park and Miller's minimal standard). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
}

/** `count` of these, none twice, in the order in which they were drawn. */
export function sampleFrom<T>(all: readonly T[], seed: number, count: number): T[] {
  const random = randomFrom(seed);
  const left = [...all];
  return Array.from({ length: Math.min(count, all.length) }, () => left.splice(Math.floor(random() * left.length), 1)[0] as T);
}
