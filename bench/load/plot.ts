// A plot of what a change costs for each VM, as SVG: numbers of VMs on a logarithmic axis.
import type { Summary } from '../statistics.ts';

export interface ScalePoint {
  readonly vms: number;
  /** Until the last VM had the change. */
  readonly tookMs: Summary;
  /** Of the daemon, for all VMs. */
  readonly processorMs: Summary;
  /** Of the bare server. */
  readonly referenceProcessorMs: Summary;
  /** Resident memory of the daemon above that with the first number of VMs, for each further one; 0 for the first. */
  readonly bytesPerVm: number;
}

interface Series {
  readonly title: string;
  readonly colour: string;
  /** Microseconds for each VM: median, and the least and the most. */
  readonly values: readonly { readonly vms: number; readonly p50: number; readonly min: number; readonly max: number }[];
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 70;
const RIGHT = 20;
const TOP = 50;
const BOTTOM = 60;
/** Steps of the vertical axis that are read easily. */
const STEPS = [1, 2, 5];
const LINES_MAX = 8;

/** `caption`: when and on what machine it was measured. */
export function plot(points: readonly ScalePoint[], caption: string): string {
  const perVm = (summaryOf: (point: ScalePoint) => Summary): Series['values'] =>
    points.map((point) => {
      const { p50, min, max } = summaryOf(point);
      const micros = (ms: number): number => (ms * 1000) / point.vms;
      return { vms: point.vms, p50: micros(p50), min: micros(min), max: micros(max) };
    });
  const series: Series[] = [
    { title: 'daemon', colour: '#0b62a4', values: perVm(({ processorMs }) => processorMs) },
    { title: 'bare node:http server', colour: '#999999', values: perVm(({ referenceProcessorMs }) => referenceProcessorMs) },
  ];
  // The cost of a change itself, which does not depend on the VMs, towers above all else where there are few.
  const top = Math.max(...series.flatMap(({ values }) => values.map(({ p50 }) => p50))) * 1.1;
  const step = stepFor(top);
  const [first, last] = [points[0]?.vms ?? 1, points.at(-1)?.vms ?? 10];
  const x = (vms: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(vms / first)) / Math.log(last / first);
  const y = (micros: number): number => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * Math.min(micros, top)) / top;
  const text = (at: [number, number], anchor: string, words: string, size = 12): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" text-anchor="${anchor}" font-size="${size}">${words}</text>`;
  const line = (from: [number, number], to: [number, number], colour: string): string =>
    `<line x1="${from[0].toFixed(1)}" y1="${from[1].toFixed(1)}" x2="${to[0].toFixed(1)}" y2="${to[1].toFixed(1)}" stroke="${colour}"/>`;

  const parts: string[] = [];
  for (let micros = 0; micros <= top; micros += step) {
    parts.push(line([LEFT, y(micros)], [WIDTH - RIGHT, y(micros)], '#dddddd'), text([LEFT - 8, y(micros) + 4], 'end', String(micros)));
  }
  for (const { vms } of points) parts.push(line([x(vms), HEIGHT - BOTTOM], [x(vms), HEIGHT - BOTTOM + 5], '#333333'), text([x(vms), HEIGHT - BOTTOM + 20], 'middle', vms.toLocaleString('en')));
  series.forEach(({ title, colour, values }, index) => {
    parts.push(`<polyline fill="none" stroke="${colour}" stroke-width="2" points="${values.map(({ vms, p50 }) => `${x(vms).toFixed(1)},${y(p50).toFixed(1)}`).join(' ')}"/>`);
    for (const { vms, p50, min, max } of values) {
      parts.push(line([x(vms), y(min)], [x(vms), y(max)], colour), `<circle cx="${x(vms).toFixed(1)}" cy="${y(p50).toFixed(1)}" r="3" fill="${colour}"/>`);
    }
    parts.push(line([WIDTH - 220, TOP + 12 + index * 18], [WIDTH - 196, TOP + 12 + index * 18], colour), text([WIDTH - 190, TOP + 16 + index * 18], 'start', title));
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text([LEFT, 20], 'start', 'One shared secret changes: microseconds of processor time for each VM', 14),
    text([LEFT, 38], 'start', 'median of each number of VMs, with the least and the most'),
    ...parts,
    text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 22], 'middle', 'VMs behind one daemon'),
    text([LEFT, HEIGHT - 5], 'start', caption, 10),
    '</svg>', '',
  ].join('\n');
}

function stepFor(top: number): number {
  for (let power = 1; ; power *= 10) {
    for (const step of STEPS) if (top / (step * power) <= LINES_MAX) return step * power;
  }
}
