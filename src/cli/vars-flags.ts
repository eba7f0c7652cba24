// The flags of all commands that take an inventory. Apart from what they lead to, since every command's help takes
// those of `slicer vars`.
import type { Command } from 'commander';

/** Accepted before and after the command's name. */
export function addVarsFlags(command: Command): Command {
  return command
    .option('--inventory <file>', 'instances and generators that are declared once: YAML, JSON or Nix')
    .option('--vars-dir <dir>', 'where values that were generated are (default: ./vars)');
}
