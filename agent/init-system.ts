// Which init system a root file system has, by what is there.
import * as os from 'os';
import * as std from 'std';
import { Fault } from './fault.ts';
import { BUSYBOX_LINE, INITTAB, OPENRC_UNITS, SYSTEMD_UNITS, SYSVINIT_LINE, type Units } from './units.ts';

const INIT_SYSTEMS = ['systemd', 'openrc', 'inittab'] as const;
export type InitSystem = (typeof INIT_SYSTEMS)[number];

/** What is there while it runs, then what is there where it is installed. */
const SIGNS: readonly (readonly [InitSystem, string])[] = [
  ['systemd', '/run/systemd/system'],
  ['openrc', '/run/openrc'],
  ['systemd', '/usr/lib/systemd/systemd'],
  ['systemd', '/lib/systemd/systemd'],
  ['openrc', '/sbin/openrc-run'],
  ['openrc', '/usr/sbin/openrc-run'],
  ['inittab', INITTAB],
];

export const UNITS: Readonly<Record<InitSystem, Units>> = {
  systemd: SYSTEMD_UNITS,
  openrc: OPENRC_UNITS,
  inittab: { files: [], links: [] },
};

export const exists = (path: string): boolean => os.stat(path)[0] !== null;

/** The init system that is asked for, or that is there. Throws a `Fault`. */
export function initSystemOf(root: string, asked: string | undefined): InitSystem {
  const found = asked ?? SIGNS.find(([, path]) => exists(`${root}${path}`))?.[0];
  const init = INIT_SYSTEMS.find((name) => name === found);
  if (init !== undefined) return init;
  throw new Fault('usage', found === undefined
    ? `no init system that is known here in ${root || '/'}; name one with --init, or have whatever starts your services run: slicer-agent run`
    : `expected systemd, openrc or inittab for --init, got ${found}`);
}

/** Whether that init system is the one that runs now, which then has to be told. */
export const isRunning = (root: string, init: InitSystem): boolean =>
  root === '' && init !== 'inittab' && exists(init === 'systemd' ? '/run/systemd/system' : '/run/openrc');

/** The line for /etc/inittab: only System V's init has a line that names the first runlevel (inittab(5)). */
export function inittabLine(inittab: string): string {
  return /^[^#:]+:[^:]*:initdefault:/m.test(inittab) ? SYSVINIT_LINE : BUSYBOX_LINE;
}

export const readInittab = (root: string): string => std.loadFile(`${root}${INITTAB}`) ?? '';
