// Answers of an HTTP server, taken apart as they came: with a length, in chunks, or with no body at all.

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** `rest`: what comes behind the last whole answer. `mayBeHead`: an answer that has a length and no body is one to HEAD. */
export function answersIn(text: string, mayBeHead: boolean): { answers: HttpAnswer[]; rest: string } {
  const answers: HttpAnswer[] = [];
  let rest = text;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { answers, rest };
    const [line = '', ...fields] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 ([1-5][0-9][0-9]) [ -~]+$/.exec(line)?.[1]);
    if (!(status >= 100)) throw new Error(`no status line: ${JSON.stringify(line)}`);
    const headers = new Map(fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]));
    const behind = rest.slice(end + 4);
    const isBare = status < 200 || status === 204 || status === 304 || (mayBeHead && (behind === '' || behind.startsWith('HTTP/1.1 ')));
    const body = isBare ? { text: '', rest: behind } : headers.get('transfer-encoding') === 'chunked' ? chunked(behind) : counted(behind, Number(headers.get('content-length') ?? 0));
    if (body === undefined) return { answers, rest };
    answers.push({ status, headers, body: body.text });
    rest = body.rest;
  }
}

interface Body {
  readonly text: string;
  readonly rest: string;
}

const counted = (text: string, length: number): Body | undefined => (text.length < length ? undefined : { text: text.slice(0, length), rest: text.slice(length) });

function chunked(text: string): Body | undefined {
  let [body, rest] = ['', text];
  for (;;) {
    const line = /^([0-9a-f]+)\r\n/i.exec(rest);
    if (line === null) return undefined;
    const size = Number.parseInt(line[1] as string, 16);
    const chunk = rest.slice(line[0].length, line[0].length + size);
    if (rest.length < line[0].length + size + 2) return undefined;
    body += chunk;
    rest = rest.slice(line[0].length + size + 2);
    if (size === 0) return { text: body, rest };
  }
}
