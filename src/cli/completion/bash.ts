// Completion for bash, with nothing that its package bash-completion would have to provide. bash takes `=` for
// a word of its own (COMP_WORDBREAKS), so `--uid=1` are three words here.
import type { CommandShape } from '../command-shape.ts';
import { type CommandTree, namedBy } from './tree.ts';

export function bashCompletion({ groups, commands }: CommandTree): string {
  return `# bash completion of slicer: slicer completion bash
_slicer_names() {
  slicer "$1" list 2>/dev/null | awk 'NR > 2 { print $1 }'
}

# Sets what the command takes: options, those of them that take a value, and what its arguments name.
_slicer_takes() {
  options= values=" --url --token --token-file " names= many=
  case $1 in
${commands.map(caseOf).join('\n')}
  esac
}

_slicer() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  local command= place=0 i each options values names many
  local values=" --url --token --token-file " groups=" ${groups.map(({ name }) => name).join(' ')} "
  [[ $word == = ]] && word=
  [[ $before == = ]] && before=\${COMP_WORDS[COMP_CWORD-2]}
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    each=\${COMP_WORDS[i]}
    if [[ $each == -- ]]; then return; fi
    if [[ $each == -* ]]; then
      if [[ \${COMP_WORDS[i+1]} == = ]]; then ((i += 2)); elif [[ $values == *" $each "* ]]; then ((i++)); fi
    elif [[ -z $command || $groups == *" $command "* ]]; then
      command="\${command:+$command }$each"
      _slicer_takes "$command"
    else
      ((place++))
    fi
  done
  case $command in
    '')
      options="--help --version --url --token --token-file"
      [[ $word == -* ]] || options="${[...groups.map(({ name }) => name), ...commands.flatMap(({ words }) => (words.length === 1 ? [words[0]] : []))].join(' ')}" ;;
${groups.map(({ name, members }) => `    ${name}) options="--help"; [[ $word == -* ]] || options="${members.join(' ')}" ;;`).join('\n')}
    *)
      if [[ $values == *" $before "* ]]; then
        case $before in
${valuesWithChoices(commands)}          --secret|--secrets) COMPREPLY=($(compgen -W "$(_slicer_names secret)" -- "$word")) ;;
        esac
        return
      fi
      if [[ $word != -* ]]; then
        [[ -n $names && ($place == 0 || -n $many) ]] && COMPREPLY=($(compgen -W "$(_slicer_names "$names")" -- "$word"))
        return
      fi ;;
  esac
  COMPREPLY=($(compgen -W "$options" -- "$word"))
}

complete -o default -F _slicer slicer
`;
}

function caseOf(command: CommandShape): string {
  const { words, alias, options } = command;
  const [first, second] = words;
  const patterns = [words.join(' '), ...(alias === undefined || second === undefined ? [] : [`${first} ${alias}`])];
  const { kind, many } = namedBy(command);
  const withValue = options.filter(({ value }) => value !== undefined).map(({ long }) => long);
  return `    ${patterns.map((pattern) => `'${pattern}'`).join('|')})
      options="${options.map(({ long }) => long).join(' ')}" values=" ${withValue.join(' ')} "${kind === undefined ? '' : ` names=${kind}`}${many ? ' many=1' : ''} ;;`;
}

function valuesWithChoices(commands: readonly CommandShape[]): string {
  const choices = new Map(commands.flatMap(({ options }) => options.filter((option) => option.choices.length > 0).map((option) => [option.long, option.choices] as const)));
  return [...choices].map(([long, words]) => `          ${long}) COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$word")) ;;\n`).join('');
}
