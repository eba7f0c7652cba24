// The flags that say which daemon, and the client they lead to.
import type { Command } from 'commander';
import { chooseConnection, type ConnectionChoice } from '../client/discovery.ts';
import { createClient, type SlicerClient } from '../client/slicer-client.ts';
import type { Context } from './context.ts';

/** Accepted before and after the command's name. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the daemon: http://HOST:PORT, https://HOST or the path of a socket (SLICER_URL)')
    .option('--token <token>', 'the API token; ps and the shell\'s history see it here (SLICER_TOKEN)')
    .option('--token-file <path>', 'a file that holds the API token (SLICER_TOKEN_FILE)');
}

export function clientFor(command: Command, context: Context): SlicerClient {
  return createClient(chooseConnection(command.optsWithGlobals<ConnectionChoice>(), context.env));
}

export function hasUrl(command: Command, context: Context): boolean {
  return command.optsWithGlobals<ConnectionChoice>().url !== undefined || (context.env['SLICER_URL'] ?? '') !== '';
}
