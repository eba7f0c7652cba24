// Whether a figure grows with time: the straight line through its samples (least squares), and how far off it may be.

export interface Sample {
  readonly atHours: number;
  readonly value: number;
}

export interface Slope {
  readonly perHour: number;
  /** Standard error of `perHour`. */
  readonly error: number;
}

/** Of at least three samples at different times. */
export function slopeOf(samples: readonly Sample[]): Slope {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const at = mean(samples.map(({ atHours }) => atHours));
  const value = mean(samples.map((sample) => sample.value));
  const spread = samples.reduce((sum, { atHours }) => sum + (atHours - at) ** 2, 0);
  const perHour = samples.reduce((sum, sample) => sum + (sample.atHours - at) * (sample.value - value), 0) / spread;
  const rest = samples.reduce((sum, sample) => sum + (sample.value - value - perHour * (sample.atHours - at)) ** 2, 0);
  return { perHour, error: Math.sqrt(rest / (samples.length - 2) / spread) };
}

/** Whether it grows by more than `allowedPerHour`, beyond twice the error. */
export const grows = ({ perHour, error }: Slope, allowedPerHour: number): boolean => perHour - 2 * error > allowedPerHour;
