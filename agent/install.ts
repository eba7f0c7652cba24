// `slicer-agent install` and `uninstall`: the program itself and its place in the boot. Each file is replaced
// whole. What somebody else put at one of these paths is neither replaced nor taken away.
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';
import { Fault } from './fault.ts';
import { inittabLine, initSystemOf, isRunning, readInittab, UNITS, exists, type InitSystem } from './init-system.ts';
import { utf8Bytes } from './text.ts';
import { AGENT_PATH, BUSYBOX_DEFAULTS, BUSYBOX_LINE, INITTAB, SYSVINIT_LINE, UNIT_MARK, type Units } from './units.ts';

type Print = (line: string) => void;

const SELF = '/proc/self/exe';
const COPY_BYTES = 64 * 1024;

/** Makes the agent part of the boot of the system below `root` (empty: this one). Says what it did with each file. */
export function install(root: string, asked: string | undefined, print: Print): void {
  requireRoot(root);
  const init = initSystemOf(root, asked);
  requireInside(root, UNITS[init]);
  requireOurs(root, UNITS[init]);
  print(`${copySelf(`${root}${AGENT_PATH}`)} ${root}${AGENT_PATH}\n`);
  for (const { path, mode, text } of UNITS[init].files) {
    print(`${placeText(`${root}${path}`, text, mode)} ${root}${path}\n`);
  }
  for (const { path, target } of UNITS[init].links) {
    print(`${placeLink(`${root}${path}`, target)} ${root}${path}\n`);
  }
  if (init === 'inittab') print(`${enterInittab(root)} ${root}${INITTAB}\n`);
  if (isRunning(root, init)) tell(init, init === 'systemd'
    ? [['systemctl', 'daemon-reload'], ['systemctl', 'start', 'slicer-agent.socket', 'slicer-commands.socket'], ['systemctl', 'try-restart', 'slicer-commands.service'], ['systemctl', 'restart', '--no-block', 'slicer-agent.service']]
    : [['rc-service', 'slicer-agent', 'restart']]);
  else print(`${root === '' && init === 'inittab' ? 'to have init read it: kill -HUP 1' : 'it starts with the next boot'}\n`);
}

/** Takes out what install put in, and nothing else. */
export function uninstall(root: string, asked: string | undefined, print: Print): void {
  requireRoot(root);
  const init = initSystemOf(root, asked);
  requireInside(root, UNITS[init]);
  // The program may have come another way, with a package: without a trace of install it is not ours to take away.
  const wasInstalled = init === 'inittab' ? isListed(readInittab(root)) : UNITS[init].files.some(({ path }) => exists(`${root}${path}`) && isOurs(`${root}${path}`));
  const running = isRunning(root, init) && UNITS[init].files.some(({ path }) => exists(path));
  if (running) tell(init, init === 'systemd'
    ? [['systemctl', 'stop', 'slicer-agent.socket', 'slicer-agent.service', 'slicer-userdata.service', 'slicer-commands.socket', 'slicer-commands.service']]
    : [['rc-service', 'slicer-agent', 'stop']]);
  for (const { path, target } of UNITS[init].links) {
    if (os.readlink(`${root}${path}`)[0] === target) remove(`${root}${path}`, print);
  }
  for (const { path } of UNITS[init].files) {
    if (!exists(`${root}${path}`)) continue;
    if (isOurs(`${root}${path}`)) remove(`${root}${path}`, print);
    else print(`left ${root}${path}, which slicer-agent install did not put there\n`);
  }
  if (init === 'inittab') leaveInittab(root, print);
  if (exists(`${root}${AGENT_PATH}`)) {
    if (wasInstalled) remove(`${root}${AGENT_PATH}`, print);
    else print(`left ${root}${AGENT_PATH}: slicer-agent install did not run here\n`);
  }
  if (running && init === 'systemd') tell(init, [['systemctl', 'daemon-reload']]);
  if (init === 'inittab' && root === '') print('an agent that runs goes on until the next boot\n');
}

function requireRoot(root: string): void {
  if (sys.effectiveUid() !== 0) throw new Fault('EPERM', 'only root can do this; try: sudo slicer-agent');
  if (root !== '' && !exists(root)) throw new Fault('usage', `no such directory for --root: ${root}`);
}

/** A link in the directory that passes for a system's root may lead into the system that this one runs on. */
function requireInside(root: string, { files, links }: Units): void {
  if (root === '') return;
  const top = os.realpath(root)[0];
  for (const path of [AGENT_PATH, INITTAB, ...[...files, ...links].map((unit) => unit.path)]) {
    let parent = path;
    do parent = parent.slice(0, parent.lastIndexOf('/')); while (parent !== '' && !exists(`${root}${parent}`));
    const there = os.realpath(`${root}${parent}`)[0];
    if (there !== top && !there.startsWith(`${top}/`)) throw new Fault('EXDEV', `${root}${parent} leads to ${there}, out of ${root}`);
  }
}

function requireOurs(root: string, { files }: Units): void {
  const foreign = files.map(({ path }) => `${root}${path}`).filter((path) => exists(path) && !isOurs(path));
  if (foreign.length === 0) return;
  throw new Fault('EEXIST', `${foreign.join(', ')}: slicer-agent install did not put this there; remove it first`);
}

const isOurs = (path: string): boolean => (std.loadFile(path) ?? '').includes(UNIT_MARK);

function copySelf(path: string): string {
  const [self, there] = [os.stat(SELF)[0], os.stat(path)[0]];
  if (self !== null && there !== null && self.dev === there.dev && self.ino === there.ino) return 'kept';
  const source = std.open(SELF, 'rb');
  if (source === null) throw new Fault('ENOENT', `${SELF} can't be read; is /proc mounted?`);
  const chunk = new Uint8Array(COPY_BYTES);
  replaceFile(path, 0o755, (write) => {
    for (let count = -1; count !== 0; ) {
      count = source.read(chunk.buffer, 0, COPY_BYTES);
      write(chunk.subarray(0, count));
    }
  });
  source.close();
  return 'wrote';
}

function placeText(path: string, text: string, mode: number): string {
  if (std.loadFile(path) === text) return 'kept';
  replaceFile(path, mode, (write) => write(utf8Bytes(text)));
  return 'wrote';
}

function placeLink(path: string, target: string): string {
  if (os.readlink(path)[0] === target) return 'kept';
  makeParents(path);
  os.remove(path);
  if (os.symlink(target, path) !== 0) throw new Fault('EIO', `${path} can't be made`);
  return 'linked';
}

/** Under a name beside it, then renamed: at every moment the old file is there, or the new one. */
function replaceFile(path: string, mode: number, content: (write: (bytes: Uint8Array) => void) => void): void {
  makeParents(path);
  const slash = path.lastIndexOf('/');
  const name = `.${path.slice(slash + 1)}.new`;
  const directoryFd = sys.openDirectory(path.slice(0, slash));
  sys.removeFile(directoryFd, name);
  const fd = sys.createFile(directoryFd, name);
  try {
    content((bytes) => {
      for (let sent = 0; sent < bytes.byteLength;) sent += sys.write(fd, bytes, sent, bytes.byteLength);
    });
    sys.syncFile(fd);
  } finally {
    sys.finishFile(fd, mode, 0, 0);
  }
  if (os.rename(`${path.slice(0, slash)}/${name}`, path) !== 0) throw new Fault('EIO', `${path} can't be replaced`);
  sys.close(directoryFd);
}

function makeParents(path: string): void {
  const parts = path.split('/').slice(1, -1);
  parts.forEach((_, index) => os.mkdir(`/${parts.slice(0, index + 1).join('/')}`, 0o755));
}

export const withLine = (inittab: string): string =>
  isListed(inittab) ? inittab : `${inittab}${inittab === '' || inittab.endsWith('\n') ? '' : '\n'}${inittabLine(inittab)}\n`;

/** Whole lines alone: one that somebody commented out is his. */
export const withoutLine = (inittab: string): string =>
  inittab.split('\n').filter((line) => line !== BUSYBOX_LINE && line !== SYSVINIT_LINE).join('\n');

const isListed = (inittab: string): boolean => withoutLine(inittab) !== inittab;

/** Where there is no inittab, one that keeps what init does without. */
function enterInittab(root: string): string {
  const path = `${root}${INITTAB}`;
  const [status] = os.stat(path);
  const before = readInittab(root);
  const after = withLine(status === null ? BUSYBOX_DEFAULTS : before);
  if (after === before) return 'kept';
  replaceFile(path, status === null ? 0o644 : status.mode & 0o777, (write) => write(utf8Bytes(after)));
  return 'wrote';
}

function leaveInittab(root: string, print: Print): void {
  const path = `${root}${INITTAB}`;
  const before = readInittab(root);
  const after = withoutLine(before);
  if (after === before) return;
  if (after === BUSYBOX_DEFAULTS) {
    remove(path, print);
    return;
  }
  replaceFile(path, (os.stat(path)[0]?.mode ?? 0o644) & 0o777, (write) => write(utf8Bytes(after)));
  print(`removed our line from ${path}\n`);
}

function remove(path: string, print: Print): void {
  if (os.remove(path) !== 0) throw new Fault('EIO', `${path} can't be removed`);
  print(`removed ${path}\n`);
}

/** Runs the init system's own commands, whose output is shown. */
function tell(init: InitSystem, commands: readonly (readonly string[])[]): void {
  for (const command of commands) {
    const status = os.exec(command);
    if (status !== 0) throw new Fault('EIO', `${init} refuses (exit code ${status}): ${command.join(' ')}`);
  }
}
