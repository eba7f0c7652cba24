// The agent's log: lines on stderr, which an init system or the console keeps. Never a value.
import * as std from 'std';

export function log(message: string): void {
  std.err.puts(`slicer-agent: ${message}\n`);
  std.err.flush();
}
