// The Prometheus text format, version 0.0.4 ("Exposition formats" in Prometheus' documentation).

export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Sample {
  /** Of a histogram: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  /** With its unit, and `_total` for a counter. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** All families, each with its help and type before its samples. */
export function formatFamilies(families: readonly Family[]): string {
  return families.map(({ name, type, help, samples }) => [
    `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(({ suffix = '', labels = {}, value }) => `${name}${suffix}${formatLabels(labels)} ${formatValue(value)}`),
    '',
  ].join('\n')).join('');
}

export const gauge = (name: string, help: string, value: number): Family => ({ name, type: 'gauge', help, samples: [{ value }] });
export const counter = (name: string, help: string, value: number): Family => ({ name, type: 'counter', help, samples: [{ value }] });

/** One sample for each entry, the key as the label. */
export function byLabel(type: 'counter' | 'gauge', name: string, help: string, label: string, values: Iterable<readonly [string, number]>): Family {
  return { name, type, help, samples: [...values].map(([key, value]) => ({ labels: { [label]: key }, value })) };
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) =>
    `${name}="${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const formatValue = (value: number): string => (value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value));
