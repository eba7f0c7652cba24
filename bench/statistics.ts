// Medians and spread of samples. No mean: one slow run says something about the machine, not the program.

export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly min: number;
  readonly max: number;
}

/** Nearest-rank percentiles of at least one sample. */
export function summarise(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new RangeError('expected at least one sample, got none');
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
  return { count: sorted.length, p50: rank(0.5), p99: rank(0.99), min: rank(0), max: rank(1) };
}
