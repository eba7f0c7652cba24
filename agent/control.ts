// The socket over which `slicer-agent secrets sync` and the like reach the running agent: one command
// a line, one line of JSON as its answer, in their order. The socket is 0600 in a directory 0700, so only root reaches it.
import * as os from 'os';
import * as sys from 'sys';
import { Connection } from './connection.ts';
import { Fault, toFault } from './fault.ts';
import { titleOf } from './outcome.ts';
import type { SyncResult } from './sync.ts';
import { utf8Bytes, utf8Text } from './text.ts';

export interface AgentStatus {
  readonly version: string;
  readonly connected: boolean;
  readonly generation: string | undefined;
  readonly secrets: number;
  readonly credentials: number;
  readonly uptimeSeconds: number;
  readonly problem: string | undefined;
}

export interface ControlCommands {
  readonly sync: () => Promise<SyncResult>;
  readonly status: () => AgentStatus;
  readonly userdata: () => Promise<boolean>;
}

type Answer = { readonly value: unknown } | { readonly error: { readonly code: string; readonly message: string } };

const SOCKET = 'agent.sock';
/** What waits for an answer, or for the end of its line. */
const WAITING_MAX_LENGTH = 4096;

const COMMANDS = ['sync', 'status', 'userdata'] as const satisfies readonly (keyof ControlCommands)[];

export function serveControl(statePath: string, commands: ControlCommands): void {
  const listener = sys.unixListen(`${statePath}/${SOCKET}`);
  os.setReadHandler(listener, () => {
    const accepted = sys.accept(listener);
    if (accepted !== null) serveClient(accepted[0], commands);
  });
}

function serveClient(fd: number, commands: ControlCommands): void {
  let waiting = '';
  let isAnswering = false;
  const answerAll = async (): Promise<void> => {
    isAnswering = true;
    for (let end = waiting.indexOf('\n'); end >= 0 && !connection.closed; end = waiting.indexOf('\n')) {
      const line = waiting.slice(0, end);
      waiting = waiting.slice(end + 1);
      connection.write(utf8Bytes(`${JSON.stringify(await answerTo(line, commands))}\n`));
    }
    isAnswering = false;
  };
  const connection: Connection = new Connection(fd, false, {
    onData: (chunk) => {
      waiting += utf8Text(chunk);
      if (waiting.length > WAITING_MAX_LENGTH) throw new Fault('protocol', 'expected short commands');
      if (!isAnswering) void answerAll();
    },
    onClose: () => undefined,
  });
}

async function answerTo(line: string, commands: ControlCommands): Promise<Answer> {
  try {
    // Found, not looked up: an object has more properties than its own.
    const command = COMMANDS.find((name) => name === line);
    if (command === undefined) throw new Fault('usage', `expected one of ${COMMANDS.join(', ')}`);
    return { value: await commands[command]() };
  } catch (error) {
    const { code, message, secretName } = toFault(error);
    return { error: { code, message: secretName === undefined ? message : `${titleOf(secretName)}: ${message}` } };
  }
}

/** Asks the agent that runs over `statePath`; undefined when none does. Throws its fault. */
export function askRunningAgent<T>(statePath: string, command: keyof ControlCommands): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    let text = '';
    let connection: Connection;
    try {
      connection = new Connection(sys.unixConnect(`${statePath}/${SOCKET}`), true, {
        onData: (chunk) => {
          text += utf8Text(chunk);
          if (text.endsWith('\n')) connection.close();
        },
        onClose: () => {
          if (text === '') return resolve(undefined);
          const answer = answerIn(text);
          if ('error' in answer) reject(new Fault(answer.error.code, answer.error.message));
          else resolve(answer.value as T);
        },
      });
      connection.write(utf8Bytes(`${command}\n`));
    } catch {
      resolve(undefined);
    }
  });
}

/** Half a line is all there is of an agent that ended while it answered. */
function answerIn(text: string): Answer {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  const { value, error } = (answer ?? {}) as { value?: unknown; error?: { code?: unknown; message?: unknown } | null };
  if (value !== undefined) return { value };
  if (typeof error?.code === 'string' && typeof error.message === 'string') return { error: { code: error.code, message: error.message } };
  return { error: { code: 'protocol', message: 'the running agent ended while it answered' } };
}
