// What commands take, read from the commands themselves: completions and the manual page are made of it, so
// that they can't say anything else than what the program does.
import type { EventEmitter } from 'node:events';
import { Command } from 'commander';
import { COMMANDS, type CommandEntry } from './command-table.ts';
import type { Context } from './context.ts';

export interface OptionShape {
  /** `--name`. */
  readonly long: string;
  /** `-n`. */
  readonly short?: string;
  /** What stands for its value, `path`; absent for a flag. */
  readonly value?: string;
  readonly choices: readonly string[];
  readonly description: string;
}

export interface ArgumentShape {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly variadic: boolean;
}

export interface CommandShape {
  readonly words: CommandEntry['words'];
  readonly alias?: string;
  readonly summary: string;
  /** What its arguments name, where the daemon knows all there are. */
  readonly names?: CommandEntry['names'];
  readonly arguments: readonly ArgumentShape[];
  readonly options: readonly OptionShape[];
  /** What its help says below the options: notes, then a paragraph `Examples:`. */
  readonly notes: string;
}

/** Options of every command, in the order in which they are shown. */
const COMMON: readonly OptionShape[] = [
  { long: '--debug', choices: [], description: 'show where an error comes from' },
  { long: '--help', short: '-h', choices: [], description: 'show this help' },
];

/** Every command, in the order of the table. */
export function commandShapes(context: Context): Promise<CommandShape[]> {
  return Promise.all(COMMANDS.map(async ({ words, alias, summary, names, load }): Promise<CommandShape> => {
    const command = new Command(words.join(' '));
    (await load()).configure(command, context);
    return {
      words, summary, ...(alias === undefined ? {} : { alias }), ...(names === undefined ? {} : { names }),
      arguments: command.registeredArguments.map((argument) => ({
        name: argument.name(), description: argument.description, required: argument.required, variadic: argument.variadic,
      })),
      options: [...command.options.map(shapeOf), ...COMMON],
      notes: notesOf(command),
    };
  }));
}

function shapeOf({ long, short, flags, argChoices, description }: Command['options'][number]): OptionShape {
  const [, value] = /[<[]([^>\]]*)[>\]]/.exec(flags) ?? [];
  return {
    long: long as string, choices: argChoices ?? [], description,
    ...(short === undefined ? {} : { short }), ...(value === undefined ? {} : { value }),
  };
}

/** commander keeps what addHelpText() was given as a listener of this event. */
function notesOf(command: Command): string {
  let notes = '';
  // Its types leave out that it is an emitter.
  (command as unknown as EventEmitter).emit('afterHelp', { error: false, command, write: (text: string) => { notes += text; } });
  return notes.trim();
}
