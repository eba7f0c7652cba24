// Userdata: a script that the host hands out once for each VM, over the live channel and after the first
// sync, so that it finds its secrets in place.
import * as std from 'std';
import * as sys from 'sys';
import { USERDATA_OUTPUT_MAX_BYTES, type UserdataResult } from '../src/wire/protocol.ts';
import { accountOf, SEARCH_PATH } from './accounts.ts';
import { Connection } from './connection.ts';
import { toFault } from './fault.ts';
import type { HostRequest, HostResponse } from './host-client.ts';
import { log } from './log.ts';
import type { StartProgram } from './program.ts';
import type { SecretsDirectory } from './secrets-directory.ts';
import { jsonBytes, utf8Text } from './text.ts';

const SCRIPT = '.userdata';
const NOT_EXECUTABLE = 126;
/** BINPRM_BUF_SIZE of Linux. */
const INTERPRETER_LINE_MAX_BYTES = 256;

/**
 * Asks for the script and runs it when there is one. Resolves whether one ran. `ask` keeps asking until the
 * host answered: a daemon that restarts meanwhile must not lose how userdata ended.
 */
export async function runUserdata(ask: (request: HostRequest) => Promise<HostResponse>, directory: SecretsDirectory, start: StartProgram): Promise<boolean> {
  const claim = await ask({ method: 'POST', target: '/v1/userdata' });
  if (claim.status !== 200) return false;
  log('userdata starts');
  const result = await run(claim.body, directory, start);
  log(`userdata ended with exit code ${result.exit_code}`);
  await ask({ method: 'PUT', target: '/v1/userdata', body: jsonBytes(result) });
  return true;
}

async function run(script: Uint8Array, directory: SecretsDirectory, start: StartProgram): Promise<UserdataResult> {
  const path = `${directory.statePath}/${SCRIPT}`;
  try {
    sys.removeFile(directory.stateFd, SCRIPT);
    const fd = sys.createFile(directory.stateFd, SCRIPT);
    try {
      for (let sent = 0; sent < script.byteLength;) sent += sys.write(fd, script, sent, script.byteLength);
    } finally {
      sys.finishFile(fd, 0o700, 0, 0);
    }
    return await outcomeOf([...interpreterOf(script), path], start);
  } catch (error) {
    return { exit_code: NOT_EXECUTABLE, output: toFault(error).message };
  } finally {
    sys.removeFile(directory.stateFd, SCRIPT);
  }
}

/**
 * Program and argument of the first line, as execve(2) reads it. The file can't run by itself where /run is
 * mounted noexec, as Debian and Ubuntu do.
 */
export function interpreterOf(script: Uint8Array): string[] {
  const [line = ''] = utf8Text(script.subarray(0, INTERPRETER_LINE_MAX_BYTES)).split('\n', 1);
  const match = /^#![ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/.exec(line);
  if (match === null) return ['/bin/sh'];
  return [match[1] as string, ...(match[2] === '' ? [] : [match[2] as string])];
}

/** Runs as root from `/`; its output goes to the agent's log, and the end of it to the host. */
function outcomeOf(argv: readonly string[], start: StartProgram): Promise<UserdataResult> {
  const { home, groups } = accountOf(0, undefined);
  const env = [`HOME=${home}`, `PATH=${SEARCH_PATH}`, 'USER=root', 'LOGNAME=root', 'SHELL=/bin/sh'];
  return new Promise((resolve, reject) => start({ argv, env, cwd: '/', uid: 0, gid: 0, groups: groups.map(String), stdin: false }, {
    onFailed: reject,
    onStarted: ({ streams: [, output, error], onceExited }) => {
      const tail = new Tail();
      const streams = [output, error].map((fd) => new Connection(fd, false, {
        onData: (chunk) => {
          std.err.puts(utf8Text(chunk));
          std.err.flush();
          tail.add(chunk);
        },
        onClose: () => undefined,
      }));
      onceExited((status) => {
        // Its last words. What it left running may go on writing, and is not waited for.
        for (const stream of streams) stream.readNow();
        resolve({ exit_code: status, output: tail.text() });
      });
    },
  }));
}

/** The last bytes of a stream. */
class Tail {
  #bytes = new Uint8Array(0);

  add(chunk: Uint8Array): void {
    const whole = new Uint8Array(this.#bytes.byteLength + chunk.byteLength);
    whole.set(this.#bytes);
    whole.set(chunk, this.#bytes.byteLength);
    this.#bytes = whole.slice(Math.max(0, whole.byteLength - USERDATA_OUTPUT_MAX_BYTES));
  }

  text(): string {
    return utf8Text(this.#bytes);
  }
}
