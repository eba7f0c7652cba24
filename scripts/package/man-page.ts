// The manual page slicer(1), in man(7)'s language, made of the commands themselves as completion is.
import type { CommandShape, OptionShape } from '../../src/cli/command-shape.ts';

export interface ManPageOptions {
  readonly version: string;
  /** Seconds since 1970. */
  readonly timeS: number;
  readonly commands: readonly CommandShape[];
}

const DESCRIPTION = `
Slicer keeps secrets on the host and gives each microVM only those it was granted. In the guest they are
files below /run/slicer/secrets, with exact bytes, owner and mode, and change there within milliseconds
when they change on the host.`;

const ENVIRONMENT: readonly Term[] = [
  ['SLICER_URL', 'the daemon: http://HOST:PORT, https://HOST or the path of a socket'],
  ['SLICER_TOKEN', 'the API token'],
  ['SLICER_TOKEN_FILE', 'a file that holds the API token'],
  ['SLICER_CACHE', 'where guest images are kept'],
  ['SLICER_ACCEL', 'kvm or tcg: whether VMs use KVM or are emulated, where Slicer would decide otherwise'],
  ['SLICER_LOG_LEVEL', 'how much the daemon logs: debug, info, warn or error'],
];

const FILES: readonly Term[] = [
  ['/etc/slicer/slicer.yaml', 'the configuration of the service'],
  ['/run/slicer/slicer.sock', 'where the service listens'],
  ['/var/lib/slicer', 'the service\'s state; secrets/ in it is the store, one file a secret'],
  ['/var/cache/slicer', 'guest images'],
  ['./slicer.sock', 'where a daemon listens that was started by hand; commands try it first'],
];

const EXIT_STATUS: readonly Term[] = [
  ['0', 'done'], ['1', 'failed'], ['2', 'wrong usage, or a value that is refused'], ['3', 'no daemon answers'], ['4', 'not found'],
  ['5', 'there already, or not in a state for it'], ['6', 'not allowed'], ['7', 'not in time'],
  ['8', 'slicer run: the VMM died'], ['9', 'slicer run: the guest was ended by force'],
];

type Term = readonly [term: string, text: string];

/** The page's source. It is the same for the same commands, version and time. */
export function manPage({ version, timeS, commands }: ManPageOptions): string {
  const date = new Date(timeS * 1000).toISOString().slice(0, 10);
  return `${[
    `.TH SLICER 1 "${date}" "slicer ${escaped(version)}" "Slicer"`,
    '.SH NAME', 'slicer \\- gets secrets into microVMs',
    '.SH SYNOPSIS', ...commands.flatMap((command) => ['.br', synopsis(command)]),
    '.SH DESCRIPTION', ...paragraph(DESCRIPTION),
    '.PP', 'Tables and JSON go to standard output, everything else to standard error.',
    '.SH COMMANDS', ...commands.flatMap(section),
    '.SH ENVIRONMENT', ...terms(ENVIRONMENT),
    '.SH FILES', ...terms(FILES),
    '.SH EXIT STATUS', ...terms(EXIT_STATUS),
    '.PP', '.B slicer vm exec', 'ends with the exit code of the command that it ran.',
    '.SH SEE ALSO', '.BR systemd.exec (5),', '.BR qemu\\-system\\-x86_64 (1)', '.PP', 'The whole documentation is in', '.IR /usr/share/doc/slicer .',
  ].join('\n')}\n`;
}

function section(command: CommandShape): string[] {
  const { words, alias, summary, arguments: args, options, notes } = command;
  const named = alias === undefined ? '' : ` Also ${[...words.slice(0, -1), alias].join(' ')}.`;
  return [
    `.SS ${quoted(`slicer ${words.join(' ')}`)}`,
    synopsis(command),
    '.PP', ...paragraph(`${summary[0]?.toUpperCase()}${summary.slice(1)}.${named}`),
    ...args.filter(({ description }) => description !== '').flatMap(({ name, description }) => term(`\\fI${escaped(name.toUpperCase())}\\fR`, description)),
    ...options.filter(({ long }) => long !== '--help' && long !== '--debug').flatMap((option) => term(flags(option), described(option))),
    ...noteLines(notes),
  ];
}

function synopsis({ words, arguments: args, options }: CommandShape): string {
  const places = args.map(({ name, required, variadic }) => {
    const shown = `\\fI${escaped(name.toUpperCase())}\\fR${variadic ? '...' : ''}`;
    return required ? shown : `[${shown}]`;
  });
  const hasOptions = options.some(({ long }) => long !== '--help' && long !== '--debug');
  return [`\\fBslicer ${escaped(words.join(' '))}\\fR`, ...(hasOptions ? ['[\\fIOPTION\\fR...]'] : []), ...places].join(' ');
}

/** Paragraphs stand apart by empty lines; what is below `Examples:` is shown as it is typed. */
function noteLines(notes: string): string[] {
  const [text = '', examples] = notes.split(/^Examples:\n/m);
  const paragraphs = text.trim() === '' ? [] : text.trim().split(/\n\n+/).flatMap((each) => ['.PP', ...paragraph(each)]);
  if (examples === undefined) return paragraphs;
  return [...paragraphs, '.PP', 'Examples:', '.PP', '.RS 4', '.nf', ...examples.trimEnd().split('\n').map((line) => lineOf(line.replace(/^ {2}/, ''))), '.fi', '.RE'];
}

const flags = ({ long, short, value }: OptionShape): string =>
  `${short === undefined ? '' : `\\fB${escaped(short)}\\fR, `}\\fB${escaped(long)}\\fR${value === undefined ? '' : `=\\fI${escaped(value.toUpperCase())}\\fR`}`;

const described = ({ description, choices }: OptionShape): string => (choices.length === 0 ? description : `${description}: ${choices.join(', ')}`);

const terms = (list: readonly Term[]): string[] => list.flatMap(([name, text]) => term(`\\fB${escaped(name)}\\fR`, text));
const term = (name: string, text: string): string[] => ['.TP', name, lineOf(text)];
const paragraph = (text: string): string[] => text.trim().split('\n').map(lineOf);

/** A line of text: what begins like a request does not (groff(7), "Control characters"). */
const lineOf = (line: string): string => escaped(line).replace(/^([.'])/, '\\&$1');
const quoted = (text: string): string => `"${escaped(text).replaceAll('"', '\\(dq')}"`;

/** Characters that groff would show as others (groff_char(7)). */
const escaped = (text: string): string => text.replaceAll('\\', '\\[rs]').replaceAll('-', '\\-').replaceAll("'", '\\(aq')
  .replaceAll('`', '\\(ga').replaceAll('^', '\\(ha').replaceAll('~', '\\(ti');
