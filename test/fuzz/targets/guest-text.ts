// Text and JSON that a guest sends, or writes to its console, on its way to logs, terminals and answers.
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { escapeLine, escapeLines } from '../../../src/cli/terminal-text.ts';
import { challengeAnswer, health, report, userdataResult } from '../../../src/live/guest-messages.ts';
import { guestOutput, guestText } from '../../../src/live/guest-text.ts';
import { readJson } from '../../../src/live/json-body.ts';
import { parseAnswer } from '../../../src/live/agent-connection.ts';
import { LineFilter } from '../../../src/run/line-filter.ts';
import { MESSAGE_MAX_BYTES, parseMessage } from '../../../src/run/notify-message.ts';
import { printable } from '../../../src/vmm/vmm-api.ts';
import type { Target } from '../engine.ts';
import { assertNoControls, CANARY, isSilentRefusal, pieces, unless } from '../expectations.ts';

/** No half of a surrogate pair. */
const isWellFormed = (text: string): boolean => !/\p{Cs}/u.test(text);

const HEX = '5a'.repeat(32);

/** All strings of what a schema made. */
function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsOf) : [];
}

const requestOf = (body: Buffer): IncomingMessage =>
  Object.assign(Readable.from([body]), { headers: { 'content-length': String(body.length) } }) as unknown as IncomingMessage;

const messages: Target = {
  name: 'guest-messages',
  of: 'src/live/guest-messages.ts, json-body.ts: reports, results, proofs and health of a guest',
  corpus: [
    { generation: '"0123456789abcdef.7"', errors: [{ name: 'api-key', code: 'ENOSPC', message: 'no space left' }, { code: 'protocol', message: 'x' }] },
    { generation: '', errors: [] },
    { exit_code: 0, output: 'done\n' },
    { nonce: HEX, proof: HEX },
    { agent_version: '0.1.0', agent_uptime: 1.5, system_uptime: 100, userdata_ran: false },
  ].map((message) => JSON.stringify(message)),
  words: ['errors', 'name', 'code', 'message', 'generation', 'exit_code', 'output', HEX],
  json: 'also',
  maxBytes: 8192,
  check: async (input) => {
    for (const schema of [report, userdataResult]) {
      const read = await readJson(requestOf(input), schema as typeof report);
      if ('status' in read) {
        assert.ok(read.status === 400 && read.reason.length < 300);
        continue;
      }
      const { errors = [] } = read.value;
      assert.ok(errors.length <= 1000);
      for (const error of errors) assertNoControls(stringsOf(error).join(''));
      for (const text of stringsOf(read.value)) assert.ok(text.length <= 16 * 1024 && isWellFormed(text));
    }
    for (const schema of [challengeAnswer, health]) {
      const answer = unless(isSilentRefusal('agent_protocol'), () => parseAnswer(schema as typeof health, input));
      for (const text of stringsOf(answer)) {
        assert.ok(text.length <= 64 && isWellFormed(text));
        assertNoControls(text);
      }
    }
  },
};

const TEXTS = ['ready\n', '\x1b[31mred\x1b[0m\r\n', 'a\tb\r\r\nc', '\u202egnp.exe', 'ünïcödé \u{1f600}\n', '\x9b2J', '\ud800'];

const cleaners: Target = {
  name: 'guest-text',
  of: 'src/live/guest-text.ts, src/cli/terminal-text.ts: what reaches logs and terminals',
  corpus: TEXTS,
  check: (input, random) => {
    const text = random.once(2) ? input.toString() : input.toString('utf16le');
    const most = 1 + random.below(100);
    const line = guestText(text, most);
    assert.ok(line.length <= most && isWellFormed(line));
    assertNoControls(line);
    const output = guestOutput(text, most);
    assert.ok(output.length <= most && isWellFormed(output));
    assertNoControls(output.replaceAll('\n', ''));
    assert.doesNotMatch(escapeLine(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    assert.doesNotMatch(escapeLines(text).replace(/[\n\t]/g, ''), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    assert.ok(escapeLines(text).length <= 10 * text.length);
    // What was made safe once stays as it is.
    assert.equal(escapeLine(escapeLine(text)), escapeLine(text));
    assert.equal(guestText(line, most), line);
  },
};

const SECRET = Buffer.from(`${CANARY}-${CANARY}-${CANARY}`).toString('base64');

/** Whether a run of base64 that may be a value is shown. */
const shows = (text: string): boolean => /[A-Za-z0-9+/_-]{32,}/.test(text);

const filters: Target = {
  name: 'console-filter',
  of: 'src/run/line-filter.ts, src/vmm/vmm-api.ts: what a VMM says, without values',
  corpus: [
    `error: invalid value "io.systemd.credential.binary:x=${SECRET}"\n`,
    `InvalidSyntax(${SECRET})\nsecond line\n`, 'qemu: warning: host lacks\r\n', `${'x'.repeat(17_000)}\nshort\n`,
  ],
  words: ['io.systemd.credential', SECRET, '\n'],
  maxBytes: 20_000,
  check: (input, random) => {
    const filter = new LineFilter();
    let shown = '';
    for (const piece of pieces(random, input)) shown += filter.take(piece);
    shown += filter.end();
    const whole = new LineFilter();
    assert.equal(shown, whole.take(input) + whole.end());
    assert.ok(!shows(shown) && !shown.includes('io.systemd.credential'));
    assert.ok(shown.length <= 2 * input.length + 100);
    const said = printable(input.toString());
    assert.ok(said.length <= 200 && !shows(said));
    assertNoControls(said);
  },
};

const notify: Target = {
  name: 'notify-message',
  of: 'src/run/notify-message.ts: what a guest tells the host\'s service manager',
  corpus: ['READY=1\n', 'STATUS=up and well\nREADY=1', 'MAINPID=1\nFDSTORE=1\nSTATUS=x\n', `STATUS=${'y'.repeat(5000)}`],
  words: ['READY=1', 'STATUS=', 'MAINPID=', 'WATCHDOG=1', '\n'],
  maxBytes: 2 * MESSAGE_MAX_BYTES,
  check: (input) => {
    const notice = parseMessage(input);
    if (notice === undefined) return;
    assert.deepEqual(Object.keys(notice).filter((key) => key !== 'ready' && key !== 'status'), []);
    const { status = '' } = notice;
    assert.ok([...status].length <= 200);
    assertNoControls(status);
    assert.doesNotMatch(status, /[\p{C}\p{Zl}\p{Zp}]/u);
    // Said again it is the same.
    assert.deepEqual(parseMessage(Buffer.from(`READY=1\nSTATUS=${status}`)), { ready: true, status: status.trim() });
  },
};

export const guestTextTargets: readonly Target[] = [messages, cleaners, filters, notify];
