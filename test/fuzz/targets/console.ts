// What a guest writes to its console, of which it may write anything, and as much as it likes.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { escapeLines } from '../../../src/cli/terminal-text.ts';
import { foregroundConsole } from '../../../src/run/console.ts';
import { withoutReturns } from '../../../src/vm/console-log.ts';
import type { Target } from '../engine.ts';
import { pieces } from '../expectations.ts';

const decoded = (input: Buffer): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(input);

async function shown(chunks: readonly Buffer[]): Promise<{ text: string; last: readonly string[] }> {
  let text = '';
  const output = { writableLength: 0, write: (part: string) => (text += part) !== '' } as unknown as NodeJS.WritableStream & { writableLength: number };
  const console = foregroundConsole({ stdout: output, stderr: output, clean: (part) => part, warn: () => undefined });
  const [guest, vmm] = [new PassThrough(), new PassThrough()];
  console.started?.({ filtersStderr: false }, guest, vmm);
  for (const chunk of chunks) guest.write(chunk);
  guest.end();
  vmm.end().resume();
  await console.ended();
  return { text, last: await console.lastLines(5) };
}

const output: Target = {
  name: 'console-output',
  of: 'src/run/console.ts, src/vm/console-log.ts, src/cli/terminal-text.ts: a console\'s lines, however they come',
  corpus: ['login: \r\n', 'a\r\nb\r\r\nc\rd\n', '\x1b[31mred\x1b[0m\r\n', 'ünïcödé \u{1f600}\r\n', '\r\r\r\r'],
  words: ['\r', '\r\n', '\n', '\r\r\r\r\r\r\r\r', '\u2028'],
  check: async (input, random) => {
    const whole = await shown([input]);
    // No byte is lost or doubled, and no end of a line is cut into two.
    assert.equal(whole.text, decoded(input));
    assert.deepEqual(await shown(pieces(random, input)), whole);
    for (const line of whole.last) assert.ok(!line.endsWith('\r') && !line.includes('\n') && line !== '');
    const text = input.toString();
    // As if by the regular expressions, which take the square of what they are given.
    for (const line of text.split('\n')) assert.equal(withoutReturns(line), line.replace(/\r+$/, ''));
    assert.equal(escapeLines(text), escapeLines(text.replace(/\r+\n/g, '\n')));
    if (!random.once(2000)) return;
    const many = '\r'.repeat(2 ** 20);
    assert.equal(withoutReturns(`${many}x${many}`).length, 2 ** 20 + 1);
    assert.equal(escapeLines(`${many}\n`), '\n');
    assert.ok(escapeLines(`${many.slice(0, 2 ** 16)}x`).endsWith('x'));
    const flood = await shown([Buffer.from(many), input, Buffer.from(`${many}x`)]);
    assert.ok(flood.text.endsWith('x') && flood.text.length === 2 ** 21 + 1 + decoded(input).length);
  },
};

export const consoleTargets: readonly Target[] = [output];
