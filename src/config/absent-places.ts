// What a configuration takes to be on this machine and is not: directories that the daemon does not make, and
// groups. The daemon does not start without; a check, which may run elsewhere or before, warns.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { shellQuote } from '../errors/file-fault.ts';
import type { Problem } from '../errors/slicer-error.ts';
import type { Config } from './config.ts';
import { groupId } from './group-id.ts';

/** `directory` is that in which the daemon is to run: it makes `.slicer` there, and nothing else but the store. */
export function absentPlaces({ secretsDir, audit, api }: Config, directory: string): Problem[] {
  const sockets = [...(api.unix === undefined ? [] : [api.unix]), ...api.sockets];
  const directories = [secretsDir, audit.path, ...sockets.map(({ path }) => path)].map((path) => dirname(path));
  const groups = sockets.flatMap(({ group }) => (group === undefined ? [] : [group]));
  return [
    ...distinct(directories).filter((path) => path !== join(directory, '.slicer') && !existsSync(path))
      .map((path) => ({ code: 'not_found', message: `there is no directory "${path}"`, hint: `mkdir -p ${shellQuote(path)}` }) as const),
    ...distinct(groups).filter((group) => groupId(group) === undefined).map(absentGroup),
  ];
}

/** For a name of socket_group, or of the group of a socket, that /etc/group has not. */
export const absentGroup = (group: string): Problem => ({
  code: 'invalid_config', message: `there is no group "${group}" in /etc/group`,
  hint: 'set config.api.socket_group, or the group of config.api.sockets, to a name or a number',
});

const distinct = <Item>(items: readonly Item[]): Item[] => [...new Set(items)];
