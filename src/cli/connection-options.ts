// The flags that say which daemon. Apart from the client, which commands that need none do not load.
import type { Command } from 'commander';

/** Accepted before and after the command's name. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the daemon: http://HOST:PORT, https://HOST or the path of a socket (SLICER_URL)')
    .option('--token <token>', 'the API token; ps and the shell\'s history see it here (SLICER_TOKEN)')
    .option('--token-file <path>', 'a file that holds the API token (SLICER_TOKEN_FILE)');
}
