// Completion for zsh, by its own _arguments (zshcompsys(1)).
import type { CommandShape, OptionShape } from '../command-shape.ts';
import { type CommandGroup, type CommandTree, namedBy } from './tree.ts';

const LIST = { vm: '_slicer_vms', secret: '_slicer_secrets' };

export function zshCompletion({ groups, commands }: CommandTree): string {
  const top = commands.filter(({ words }) => words.length === 1);
  return `#compdef slicer
# zsh completion of slicer: slicer completion zsh
_slicer_vms() { compadd -- \${(f)"$(slicer vm list 2>/dev/null | awk 'NR > 2 { print $1 }')"} }
_slicer_secrets() { compadd -- \${(f)"$(slicer secret list 2>/dev/null | awk 'NR > 2 { print $1 }')"} }

${commands.map(functionOf).join('\n')}
${groups.map((group) => groupFunction(group, commands)).join('\n')}
_slicer() {
  local curcontext=$curcontext state line
  local -A opt_args
  _arguments -C '--help[show this help]' '--version[show the version]' '--url=[the daemon]:url:_files' '--token=[the API token]:token:' '--token-file=[a file that holds the API token]:file:_files' '1:command:->command' '*::argument:->rest' && return
  case $state in
    command)
      local -a commands=(${[...groups, ...top.map(({ words: [name], summary }) => ({ name, summary }))].map(({ name, summary }) => described(name, summary)).join(' ')})
      _describe command commands ;;
    rest) (( $+functions[_slicer_$words[1]] )) && _slicer_$words[1] ;;
  esac
}

if [[ $funcstack[1] == _slicer ]]; then _slicer "$@"; else compdef _slicer slicer; fi
`;
}

function functionOf(command: CommandShape): string {
  const { words, options, arguments: args } = command;
  const { kind, many } = namedBy(command);
  const rest = many || args[0] === undefined ? [] : args.slice(1);
  const places = [
    ...(args[0] === undefined ? [] : [`${many || args[0].variadic ? '*' : '1'}:${plain(args[0].name)}:${kind === undefined ? '_files' : LIST[kind]}`]),
    ...rest.map(({ name, variadic }, index) => `${variadic ? '*' : index + 2}:${plain(name)}:_files`),
  ];
  return `_slicer_${words.join('_')}() {\n  _arguments ${[...options.map(optionSpec), ...places.map(quoted)].join(' ')}\n}`;
}

function optionSpec({ long, value, choices, description }: OptionShape): string {
  const text = `[${plain(description)}]`;
  if (value === undefined) return quoted(`${long}${text}`);
  const action = choices.length > 0 ? `(${choices.join(' ')})` : long === '--secret' ? LIST.secret : '_files';
  return quoted(`*${long}=${text}:${plain(value)}:${action}`);
}

function groupFunction({ name, members }: CommandGroup, commands: readonly CommandShape[]): string {
  const inside = commands.filter(({ words }) => words[0] === name && words.length === 2);
  const aliases = inside.flatMap(({ words, alias }) => (alias === undefined ? [] : [`    ${alias}) _slicer_${words.join('_')} ;;`]));
  return `_slicer_${name}() {
  local curcontext=$curcontext state line
  local -A opt_args
  _arguments -C '--help[show this help]' '1:command:->command' '*::argument:->rest' && return
  case $state in
    command)
      local -a commands=(${members.map((member, index) => described(member, inside[index]?.summary ?? '')).join(' ')})
      _describe command commands
      return ;;
  esac
  case $words[1] in
${aliases.length === 0 ? '' : `${aliases.join('\n')}\n`}    *) (( $+functions[_slicer_${name}_$words[1]] )) && _slicer_${name}_$words[1] ;;
  esac
}`;
}

const described = (name: string, summary: string): string => quoted(`${name}:${summary.replaceAll(':', '\\:')}`);
/** Without what has a meaning in a specification of _arguments. */
const plain = (text: string): string => text.replaceAll('\\', '\\\\').replace(/[[\]:]/g, '\\$&');
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
