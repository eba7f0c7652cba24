// Completion for fish.
import type { CommandShape, OptionShape } from '../command-shape.ts';
import { type CommandTree, namedBy } from './tree.ts';

export function fishCompletion({ groups, commands }: CommandTree): string {
  const lines = [
    ...groups.map(({ name, summary }) => offer('__slicer_at', name, summary)),
    ...commands.flatMap(linesOf),
  ];
  return `# fish completion of slicer: slicer completion fish
# Words that are no options, nor values of the options that may stand before a command.
function __slicer_words
    set -l skip 0
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word --url --token --token-file
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# Whether these words, and no more, stand there.
function __slicer_at
    test "$(__slicer_words)" = "$(string join \\n -- $argv)"
end

# Whether these words stand at the beginning.
function __slicer_in
    set -l words (__slicer_words)
    test (count $words) -ge (count $argv); and test "$words[1..$(count $argv)]" = "$argv"
end

function __slicer_names
    slicer $argv[1] list 2>/dev/null | awk 'NR > 2 { print $1 }'
end

complete -c slicer -f
complete -c slicer -n __slicer_at -l version -d 'show the version'
${lines.join('\n')}
`;
}

function linesOf(command: CommandShape): string[] {
  const { words, alias, summary, options, arguments: args } = command;
  const [first, second] = words;
  const { kind, many } = namedBy(command);
  const offered = offer(`__slicer_at${second === undefined ? '' : ` ${first}`}`, second ?? first, summary);
  const spellings = [words, ...(alias === undefined || second === undefined ? [] : [[first, alias]])];
  return [offered, ...spellings.flatMap((spelling) => {
    const at = `__slicer_at ${spelling.join(' ')}`;
    const inside = `__slicer_in ${spelling.join(' ')}`;
    const names = kind === undefined ? [] : [`complete -c slicer -n '${many ? inside : at}' -a '(__slicer_names ${kind})'`];
    // What is no name may be a file.
    const files = kind === undefined && args.length > 0 ? [`complete -c slicer -n '${inside}' -F`] : [];
    return [...names, ...files, ...options.map((option) => optionLine(inside, option))];
  })];
}

const offer = (condition: string, word: string, summary: string): string => `complete -c slicer -n '${condition}' -a ${word} -d ${quoted(summary)}`;

function optionLine(condition: string, { long, short, value, choices, description }: OptionShape): string {
  const values = value === undefined ? '' : choices.length > 0 ? ` -x -a '${choices.join(' ')}'` : long === '--secret' ? " -x -a '(__slicer_names secret)'" : ' -r -F';
  return `complete -c slicer -n '${condition}'${short === undefined ? '' : ` -s ${short.slice(1)}`} -l ${long.slice(2)}${values} -d ${quoted(description)}`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
