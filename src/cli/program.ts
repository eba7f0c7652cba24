// Builds the tree of commands from the table, runs what was typed, and turns commander's complaints
// into Slicer's errors: a fact and a hint.
import { Command, CommanderError } from 'commander';
import { VERSION_LINE } from '../api/version.ts';
import { type Problem, SlicerError } from '../errors/slicer-error.ts';
import { COMMANDS, type CommandEntry, GROUPS } from './command-table.ts';
import { addConnectionOptions } from './connection-options.ts';
import type { Context } from './context.ts';
import { addVarsFlags } from './vars-flags.ts';

const EXAMPLES = `
Examples:
  $ slicer new web > slicer.yaml
  $ sudo slicer up
  $ echo "my-api-key" | sudo slicer secret create api-key
  $ sudo slicer vm launch --secret=api-key --wait
  $ sudo slicer vm exec web-1 -- ls -l /run/slicer/secrets

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers, 4 not found, 5 conflict,
6 not allowed, 7 not in time; of slicer run also 8 the VM died, 9 it had to be ended by force.
slicer vm exec ends with the code of the command it ran.`;

/** Throws SlicerError, usage included. Help and version end normally. */
export async function runProgram(context: Context): Promise<void> {
  let asked: Command | undefined;
  const program = buildProgram(context, (command) => { asked = command; });
  try {
    await program.parseAsync([...context.argv], { from: 'user' });
  } catch (error) {
    // Each command is a bundle of its own with its own copy of the class.
    if (error instanceof Error && error.name === 'SlicerError') throw withHint(error as SlicerError, asked);
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    if (error.code === 'commander.help') {
      context.exitCode = 2;
      return;
    }
    throw usageError(error);
  }
}

/** `onCommand` is told which command it is, before that reads its options. */
function buildProgram(context: Context, onCommand: (command: Command) => void): Command {
  const program = prepare(new Command('slicer'), context, 'gets secrets into microVMs').enablePositionalOptions();
  addConnectionOptions(program.version(VERSION_LINE, '-V, --version', 'show the version')).option('--debug', 'show where an error comes from').addHelpText('after', EXAMPLES);
  const entries = new Map<Command, CommandEntry>();
  const configure = async (_parent: Command, command: Command): Promise<void> => {
    const entry = entries.get(command);
    if (entry === undefined) return;
    onCommand(command);
    (await entry.load()).configure(command, context);
    command.option('--debug', 'show where an error comes from');
  };
  program.hook('preSubcommand', configure);

  const groups = new Map<string, Command>();
  for (const entry of COMMANDS) {
    const [first, second] = entry.words;
    const parent = second === undefined ? program : (groups.get(first) ?? addGroup(program, first, context));
    if (second !== undefined && !groups.has(first)) groups.set(first, parent.hook('preSubcommand', configure));
    const command = prepare(new Command(second ?? first), context, entry.summary);
    if (entry.alias !== undefined) command.alias(entry.alias);
    parent.addCommand(command);
    entries.set(command, entry);
  }
  return program;
}

function addGroup(program: Command, name: string, context: Context): Command {
  const group = prepare(new Command(name), context, GROUPS[name] ?? '').enablePositionalOptions();
  if (name === 'vars') addVarsFlags(group);
  program.addCommand(group);
  return group;
}

function prepare(command: Command, context: Context, description: string): Command {
  return command
    .description(description)
    .helpOption('-h, --help', 'show this help')
    .configureHelp({ subcommandTerm: (sub) => sub.name() + (sub.alias() === undefined ? '' : `, ${sub.alias()}`) })
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: () => {},
    })
    .exitOverride((error) => {
      commandOf.set(error, command);
      throw error;
    });
}

/** Which command a complaint is about, for the hint. */
const commandOf = new WeakMap<CommanderError, Command>();

/** A complaint of commander's as one of ours, without what was typed as a value. */
export function usageError(error: CommanderError): SlicerError {
  const [fact = '', suggestion] = withoutValue(error.message).replace(/^error: /, '').split('\n');
  const problem: Problem = {
    code: 'usage',
    message: fact.replaceAll("'", '"').replace(/^(.*)\. Expected (.*)\.$/, '$1: expected $2').replace(/\.$/, ''),
    hint: suggestion === undefined ? `${pathOf(commandOf.get(error))} --help` : suggestion.replace(/^\(Did you mean (.*)\?\)$/, 'did you mean $1?'),
  };
  return new SlicerError([problem]);
}

/** What is wrong with a word of the command line. */
const WORDS: readonly string[] = ['usage', 'invalid_name', 'invalid_owner', 'invalid_permissions'];

/** Where nobody named the next command: the command's help has it. */
function withHint({ problems: [first, ...rest], stack }: SlicerError, command: Command | undefined): SlicerError {
  const hinted = (problem: Problem): Problem => (WORDS.includes(problem.code) ? { hint: `${pathOf(command)} --help`, ...problem } : problem);
  return Object.assign(new SlicerError([hinted(first), ...rest.map(hinted)]), { stack });
}

/** `--form-literal=VALUE`, `--form-literal:VALUE` and `-pVALUE` are unknown options with a value that must not be shown. */
function withoutValue(message: string): string {
  return message.replace(/^(error: unknown option '(?:--[A-Za-z0-9_-]*|-[^-]?))[^]*?'(\n\(Did you mean [^\n]*\?\))?$/, "$1'$2");
}

function pathOf(command: Command | null | undefined): string {
  return command === null || command === undefined ? 'slicer' : command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
