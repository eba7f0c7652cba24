// Groups of this machine, by their number or by /etc/group; groups that only a directory service knows are
// named by number.
import { readFileSync } from 'node:fs';
import { isId } from '../secret/file-attributes.ts';

/** The id of a group; undefined where /etc/group has none of that name that a file can have. */
export function groupId(group: string): number | undefined {
  return groupIn(group, readFileSync('/etc/group', 'utf8'));
}

/** The same of a table of the form of group(5). */
export function groupIn(group: string, table: string): number | undefined {
  const line = table.split('\n').find((entry) => entry.startsWith(`${group}:`));
  const id = /^[0-9]+$/.test(group) ? group : line?.split(':')[2] ?? '';
  return /^[0-9]{1,10}$/.test(id) && isId(Number(id)) ? Number(id) : undefined;
}
