// The agent's command line, small enough to need no library: words, `--name VALUE` or `--name=VALUE`,
// and switches. Whatever is not expected is refused.
import { Fault } from './fault.ts';

export interface CommandLine {
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
  readonly switches: ReadonlySet<string>;
}

const OPTIONS = [
  '--dir', '--credstore', '--socket', '--root', '--init',
  '--file', '--max-bytes', '--diagnostics-fd', '--cid', '--port', '--uds-path', '--guest-socket', '--count', '--commands',
];
const SWITCHES: Readonly<Record<string, string>> = {
  '-v': '--verbose', '--verbose': '--verbose', '--json': '--json', '--hold-userdata': '--hold-userdata', '-h': '--help', '--help': '--help',
};

export function parseCommandLine(args: readonly string[]): CommandLine {
  const words: string[] = [];
  const options = new Map<string, string>();
  const switches = new Set<string>();
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (!arg.startsWith('-')) {
      words.push(arg);
      continue;
    }
    const equals = arg.indexOf('=');
    const name = equals === -1 ? arg : arg.slice(0, equals);
    const long = SWITCHES[arg];
    if (long !== undefined) {
      switches.add(long);
    } else if (OPTIONS.includes(name)) {
      const value = equals === -1 ? args[(index += 1)] : arg.slice(equals + 1);
      if (value === undefined || value === '') throw new Fault('usage', `${name} needs a value`);
      options.set(name, value);
    } else {
      throw new Fault('usage', `unknown option ${arg}`);
    }
  }
  return { words, options, switches };
}

/** An absolute path without a slash at its end, if the option is there. */
export function pathOption(line: CommandLine, name: string): string | undefined {
  const path = line.options.get(name);
  if (path === undefined || (path.startsWith('/') && !path.endsWith('/'))) return path;
  throw new Fault('usage', `expected an absolute path for ${name}, got ${path}`);
}
