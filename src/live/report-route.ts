// POST /v1/report: what went wrong in the guest.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Report } from '../wire/protocol.ts';
import { report } from './guest-messages.ts';
import { readJson } from './json-body.ts';
import type { LiveLimits } from './limits.ts';
import { respondEmpty, respondError, respondTooMany, type ResponseLimits } from './response.ts';
import { TokenBucket } from './token-bucket.ts';
import type { RefusalReason } from './witness.ts';

export interface ReportRouteParts {
  readonly limits: ResponseLimits & Pick<LiveLimits, 'reports'>;
  /** Milliseconds; must not go backwards. */
  readonly monotonicMs: () => number;
  readonly onReport: (report: Report) => void;
  readonly onRefused: (reason: RefusalReason) => void;
}

export class ReportRoute {
  readonly #parts: ReportRouteParts;
  readonly #rate: TokenBucket;

  constructor(parts: ReportRouteParts) {
    this.#parts = parts;
    this.#rate = new TokenBucket(parts.limits.reports, parts.monotonicMs);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { limits, onReport, onRefused } = this.#parts;
    const waitMs = this.#rate.take();
    if (waitMs > 0) {
      onRefused('too_many_requests');
      return respondTooMany(response, waitMs, limits);
    }
    const body = await readJson(request, report);
    if ('status' in body) {
      onRefused(body.status === 413 ? 'too_large' : 'malformed');
      return respondError(response, body.status, 'invalid_request', body.reason, limits);
    }
    onReport(body.value);
    respondEmpty(response, 204, limits);
  }
}
