// GET /audit: records as JSON lines, and with `follow` those that are still to come. The client sets the pace:
// what it does not take stays in the files.
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { ServerResponse } from 'node:http';
import { routes } from '../api/routes.ts';
import type { AuditLog } from '../audit/log.ts';
import { News } from '../audit/news.ts';
import { readAudit } from '../audit/reader.ts';
import { drained } from './exec-route.ts';
import { errorFields, type Log } from './log.ts';
import type { Attach } from './router.ts';
import { goneSignal } from './vm-routes.ts';

/** `closing` ends those that follow. */
export function attachAuditRoute(attach: Attach, audit: AuditLog, closing: AbortSignal, log: Log): void {
  attach(routes.audit, async ({ query: { vm, secret, since, follow = false }, context }) => {
    const { outgoing } = context.env as { outgoing: ServerResponse };
    const end = new AbortController();
    const news = new News((tell) => audit.onWritten(tell));
    const stop = (): void => {
      end.abort();
      news.tell();
    };
    goneSignal(outgoing).addEventListener('abort', stop);
    closing.addEventListener('abort', stop);
    // What is noted and not written yet was before this request.
    await audit.note();
    outgoing.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
    // Who follows is told so before there is anything else to tell.
    outgoing.flushHeaders();
    try {
      const filter = { vm, secret, ...(since === undefined ? {} : { sinceMs: Date.parse(since) }) };
      for await (const record of readAudit(audit.path, { filter, signal: end.signal, ...(follow ? { more: () => news.next() } : {}) })) {
        if (!outgoing.write(`${JSON.stringify(record)}\n`)) await drained(outgoing);
      }
      outgoing.end();
    } catch (error) {
      log.error(errorFields(error), 'the audit log can\'t be read');
      // An end without the last chunk, so that nobody takes a part for the whole.
      outgoing.destroy();
    } finally {
      news.close();
      closing.removeEventListener('abort', stop);
    }
    return RESPONSE_ALREADY_SENT;
  });
}
