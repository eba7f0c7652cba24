// The agent's command line, small enough to need no library: words, `--name VALUE` or `--name=VALUE`,
// and switches. Whatever is not expected is refused.
import { Fault } from './fault.ts';

export interface CommandLine {
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
  readonly switches: ReadonlySet<string>;
}

export interface Accepts {
  readonly options: readonly string[];
  readonly switches: readonly string[];
}

export function parseCommandLine(args: readonly string[], accepts: Accepts): CommandLine {
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
    if (accepts.switches.includes(arg)) {
      switches.add(arg);
    } else if (accepts.options.includes(name)) {
      const value = equals === -1 ? args[(index += 1)] : arg.slice(equals + 1);
      if (value === undefined || value === '') throw new Fault('usage', `${name} needs a value`);
      options.set(name, value);
    } else {
      throw new Fault('usage', `unknown option ${arg}`);
    }
  }
  return { words, options, switches };
}
