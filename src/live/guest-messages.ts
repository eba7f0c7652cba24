// The JSON that a guest sends, parsed once into types that can't be wrong: bounded, and text cleaned.
import * as z from 'zod';
import { CREDENTIAL_NAME_MAX_BYTES } from '../wire/credential-name.ts';
import { parseEtag } from '../wire/generation.ts';
import { HEX_32_BYTES } from '../wire/proof.ts';
import {
  CREDENTIAL_PREFIX, USERDATA_OUTPUT_MAX_BYTES, type ChallengeAnswer, type Health, type Report, type UserdataResult,
} from '../wire/protocol.ts';
import { guestOutput, guestText } from './guest-text.ts';

/** A report that lists more than this many faults is cut: the guest has said enough. */
const ERRORS_MAX = 1000;
/** Of an entry of an archive: a credential's is longer than any secret's. */
const NAME_MAX_LENGTH = CREDENTIAL_PREFIX.length + CREDENTIAL_NAME_MAX_BYTES;
const CODE_MAX_LENGTH = 32;
const MESSAGE_MAX_LENGTH = 300;
const VERSION_MAX_LENGTH = 64;

/** Above any exit code: 128 + the highest signal of Linux (signal(7)), and what waitpid can't say. */
const EXIT_CODE_MAX = 255;

const line = (maxLength: number) => z.string().transform((text) => guestText(text, maxLength));
const seconds = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

const reportedError = z
  .object({ name: line(NAME_MAX_LENGTH).optional(), code: line(CODE_MAX_LENGTH), message: line(MESSAGE_MAX_LENGTH) })
  .transform(({ name, ...rest }) => (name === undefined ? rest : { name, ...rest }));

export const report: z.ZodType<Report> = z.object({
  generation: z.string().refine((text) => text === '' || parseEtag(text) !== undefined),
  errors: z.array(z.unknown()).transform((errors) => errors.slice(0, ERRORS_MAX)).pipe(z.array(reportedError)),
});

export const userdataResult: z.ZodType<UserdataResult> = z.object({
  exit_code: z.int().min(0).max(EXIT_CODE_MAX),
  output: z.string().transform((text) => guestOutput(text, USERDATA_OUTPUT_MAX_BYTES)),
});

export const challengeAnswer: z.ZodType<ChallengeAnswer> = z.object({
  nonce: z.string().regex(HEX_32_BYTES),
  proof: z.string().regex(HEX_32_BYTES),
  agent_version: line(VERSION_MAX_LENGTH).optional(),
});

export const health: z.ZodType<Health> = z.object({
  agent_version: line(VERSION_MAX_LENGTH),
  agent_uptime: seconds,
  system_uptime: seconds,
  userdata_ran: z.boolean(),
});
