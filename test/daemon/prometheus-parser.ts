// Reads the Prometheus text format as strictly as its description allows ("Exposition formats"): help and type
// once and before a family's samples, which stand together; no series twice; a histogram that is one.
import assert from 'node:assert/strict';

export interface ParsedFamily {
  readonly type: string;
  readonly help: string;
  /** By `name{a="b"}`, as it stands. */
  readonly samples: Map<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const HELP = new RegExp(`^# HELP (${NAME}) ((?:[^\\\\]|\\\\[\\\\n])*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(\\{${LABEL}(?:,${LABEL})*\\})? (\\+Inf|-Inf|NaN|-?[0-9]+(?:\\.[0-9]+)?(?:e[+-]?[0-9]+)?)$`);
const COUNTED = /^(?:_bucket|_sum|_count)$/;

export function parsePrometheus(text: string): Map<string, ParsedFamily> {
  assert.ok(text.endsWith('\n'), 'the last line has no line feed');
  const families = new Map<string, ParsedFamily>();
  let current: { name: string; family: ParsedFamily } | undefined;
  let help: [string, string] | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const helpLine = HELP.exec(line);
    const typeLine = TYPE.exec(line);
    const sample = SAMPLE.exec(line);
    if (helpLine !== null) {
      help = [helpLine[1] as string, helpLine[2] as string];
    } else if (typeLine !== null) {
      const [, name, type] = typeLine as unknown as [string, string, string];
      assert.equal(help?.[0], name, `the type of ${name} stands without its help`);
      assert.ok(!families.has(name), `${name} comes twice`);
      const family = { type, help: help?.[1] as string, samples: new Map<string, number>() };
      families.set(name, family);
      current = { name, family };
    } else if (sample !== null && current !== undefined) {
      const [, name, labels = '', value] = sample as unknown as [string, string, string | undefined, string];
      const suffix = name.slice(current.name.length);
      const isOwn = name.startsWith(current.name) && (suffix === '' ? current.family.type !== 'histogram' : current.family.type === 'histogram' && COUNTED.test(suffix));
      assert.ok(isOwn, `${name} does not stand with its family`);
      const series = `${name}${labels}`;
      assert.ok(!current.family.samples.has(series), `${series} comes twice`);
      const names = [...labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="/g)].map(([, label]) => label);
      assert.equal(new Set(names).size, names.length, `a label of ${series} comes twice`);
      current.family.samples.set(series, value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value));
    } else {
      assert.fail(`no line of the format: ${line}`);
    }
  }
  for (const [name, family] of families) checkFamily(name, family);
  return families;
}

function checkFamily(name: string, { type, samples }: ParsedFamily): void {
  if (type === 'counter') {
    assert.match(name, /_total$/, `the counter ${name} does not end in _total`);
    for (const [series, value] of samples) assert.ok(value >= 0, series);
  } else assert.doesNotMatch(name, /_total$/);
  if (type !== 'histogram') return;
  const buckets = [...samples].filter(([series]) => series.startsWith(`${name}_bucket`));
  const bounds = buckets.map(([series]) => Number((/le="([^"]+)"/.exec(series)?.[1] as string).replace('+Inf', 'Infinity')));
  assert.deepEqual(bounds, [...bounds].sort((a, b) => a - b));
  assert.equal(bounds.at(-1), Infinity);
  const counts = buckets.map(([, count]) => count);
  assert.deepEqual(counts, [...counts].sort((a, b) => a - b), 'buckets are cumulative');
  assert.equal(samples.get(`${name}_count`), counts.at(-1));
  assert.ok(samples.has(`${name}_sum`));
}
