// The client that the flags which say which daemon lead to.
import type { Command } from 'commander';
import { chooseConnection, type ConnectionChoice } from '../client/discovery.ts';
import { createClient, type SlicerClient } from '../client/slicer-client.ts';
import type { Context } from './context.ts';

export { addConnectionOptions } from './connection-options.ts';

export function clientFor(command: Command, context: Context): SlicerClient {
  return createClient(chooseConnection(command.optsWithGlobals<ConnectionChoice>(), context.env));
}

export function hasUrl(command: Command, context: Context): boolean {
  return command.optsWithGlobals<ConnectionChoice>().url !== undefined || (context.env['SLICER_URL'] ?? '') !== '';
}
