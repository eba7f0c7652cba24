// The flags of all commands of `slicer vars`. Apart from what they lead to, since every command's help takes them.
import type { Command } from 'commander';

/** Accepted before and after the command's name. */
export function addVarsFlags(command: Command): Command {
  return command
    .option('--inventory <file>', 'the inventory: YAML or JSON with generators and instances')
    .option('--vars-dir <dir>', 'where the values are (default: ./vars)');
}
