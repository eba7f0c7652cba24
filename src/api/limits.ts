// Bounds of one request, the same for the daemon that enforces them and for clients that respect them.

/** Start line and headers. A command to run travels in the query, so this is more than Node's default of 16 KiB. */
export const REQUEST_HEAD_MAX_BYTES = 256 * 1024;

/** A JSON body: the largest value, in base64, and room for the other fields. A command's stdin is not bounded. */
export const JSON_BODY_MAX_BYTES = 2 * 1024 * 1024;

/** stdout and stderr together of a command whose output is asked for in one piece (`buffered=true`). */
export const BUFFERED_OUTPUT_MAX_BYTES = 8 * 1024 * 1024;
