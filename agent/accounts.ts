// Who a user id is in this guest: /etc/passwd and /etc/group (passwd(5), group(5)), read afresh each time.
import * as std from 'std';
import { isId } from '../src/secret/file-attributes.ts';

export interface Account {
  readonly name: string;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
  /** Supplementary groups, the primary one included. */
  readonly groups: readonly number[];
}

/** Where commands and userdata look for programs: as a login has it, and as NixOS does, which has none of these. */
export const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/wrappers/bin:/run/current-system/sw/bin';

/** A line without an id is no entry: read as one it would be group 0, as would be what 32 bits do not hold. */
const hasId = (field = ''): boolean => /^[0-9]+$/.test(field) && isId(Number(field));

/** An id that has no entry gets itself as its group, `/` as its home and no further groups. */
export function accountOf(uid: number, gid: number | undefined): Account {
  const entry = rows('/etc/passwd').find((fields) => fields[2] === String(uid) && hasId(fields[3]));
  const [name = String(uid), , , ownGid = String(uid), , home = '/', shell = ''] = entry ?? [];
  const primary = gid ?? Number(ownGid);
  const others = rows('/etc/group')
    .filter((fields) => entry !== undefined && hasId(fields[2]) && (fields[3] ?? '').split(',').includes(name))
    .map((fields) => Number(fields[2]));
  return {
    name,
    gid: primary,
    home: home === '' ? '/' : home,
    shell: shell === '' ? '/bin/sh' : shell,
    groups: [...new Set([primary, ...others])],
  };
}

function rows(path: string): string[][] {
  return (std.loadFile(path) ?? '').split('\n').map((line) => line.split(':'));
}
