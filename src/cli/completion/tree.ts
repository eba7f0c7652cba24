// What completion is made of, whichever the shell.
import type { CommandShape } from '../command-shape.ts';

export interface CommandTree {
  readonly groups: readonly CommandGroup[];
  readonly commands: readonly CommandShape[];
}

export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  /** Second words of its commands. */
  readonly members: readonly string[];
}

export function treeOf(summaries: Readonly<Record<string, string>>, commands: readonly CommandShape[]): CommandTree {
  const groups = Object.entries(summaries).map(([name, summary]) => ({
    name, summary, members: commands.flatMap(({ words: [first, second] }) => (first === name && second !== undefined ? [second] : [])),
  }));
  return { groups, commands };
}

/** What the arguments of a command name, and whether all of them do: the others are the command for a guest. */
export function namedBy({ names, arguments: args }: CommandShape): { readonly kind?: 'vm' | 'secret'; readonly many: boolean } {
  return names === undefined ? { many: false } : { kind: names, many: args[0]?.variadic === true };
}
