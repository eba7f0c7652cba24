// What goes wrong in the agent, as one type: a code that a report can carry and a line for people.

export class Fault extends Error {
  /** An errno name such as `ENOSPC`, or `protocol`, `unauthorized`, `closed`, `timeout`. */
  readonly code: string;
  /** The secret that could not be held, when it is one secret's fault. */
  readonly secretName: string | undefined;

  constructor(code: string, message: string, secretName?: string) {
    super(message);
    this.name = 'Fault';
    this.code = code;
    this.secretName = secretName;
  }
}

/** Whatever was thrown (an errno of `sys`, a `WireError`) as a fault; `secretName` if it is about one. */
export function toFault(error: unknown, secretName?: string): Fault {
  if (error instanceof Fault) {
    return error.secretName !== undefined || secretName === undefined ? error : new Fault(error.code, error.message, secretName);
  }
  const { code, message } = error as { code?: unknown; message?: unknown };
  return new Fault(typeof code === 'string' ? code : 'protocol', String(message), secretName);
}
