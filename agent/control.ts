// The socket over which `slicer-agent secrets sync` and the like reach the running agent: one request
// line of JSON, one answer line. The socket is 0600 in a directory 0700, so only root reaches it.
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
const LINE_MAX_BYTES = 4096;

export function serveControl(statePath: string, commands: ControlCommands): void {
  const listener = sys.unixListen(`${statePath}/${SOCKET}`);
  os.setReadHandler(listener, () => {
    const accepted = sys.accept(listener);
    if (accepted !== null) serveClient(accepted[0], commands);
  });
}

function serveClient(fd: number, commands: ControlCommands): void {
  let line = '';
  const answer = async (): Promise<void> => {
    let result: Answer;
    try {
      result = { value: await commands[line.trim() as keyof ControlCommands]() };
    } catch (error) {
      const { code, message, secretName } = toFault(error);
      result = { error: { code, message: secretName === undefined ? message : `${titleOf(secretName)}: ${message}` } };
    }
    line = '';
    connection.write(utf8Bytes(`${JSON.stringify(result)}\n`));
  };
  const connection: Connection = new Connection(fd, false, {
    onData: (chunk) => {
      line += utf8Text(chunk);
      if (line.length > LINE_MAX_BYTES) throw new Fault('protocol', 'expected a short command');
      if (line.endsWith('\n')) void answer();
    },
    onClose: () => undefined,
  });
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
          const answer = JSON.parse(text) as Answer;
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
