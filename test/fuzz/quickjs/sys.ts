// The agent's system calls over directories and connections in memory, for its parsers under Node. What it
// does not need of them is not here, so that a parser that comes to need more says so.
import { createHmac, randomBytes } from 'node:crypto';

interface File {
  bytes: Buffer;
  attributes: string;
}

const directories = new Map<number, Map<string, File>>();
const paths = new Map<string, number>();
const files = new Map<number, File>();
let lastFd = 100;

/** An empty directory; `path` where it is asked for by that. */
export function directory(path = ''): number {
  directories.set((lastFd += 1), new Map());
  paths.set(path, lastFd);
  return lastFd;
}

/** As rename(2) of a file within one directory, or between two. */
export function move(from: string, to: string): void {
  const [[fromFd, name], [toFd, newName]] = [placeOf(from), placeOf(to)];
  entriesOf(toFd).set(newName, entriesOf(fromFd).get(name) as File);
  entriesOf(fromFd).delete(name);
}

export const contentAt = (path: string): Buffer | undefined => directories.get(placeOf(path)[0])?.get(placeOf(path)[1])?.bytes;

function placeOf(path: string): [fd: number, name: string] {
  const slash = path.lastIndexOf('/');
  return [paths.get(path.slice(0, slash)) ?? -1, path.slice(slash + 1)];
}

export const namesAt = (path: string): string[] => [...directories.get(paths.get(path) ?? -1)?.keys() ?? []];

/** Names and contents of a directory. */
export const contents = (fd: number): [string, string][] =>
  [...entriesOf(fd)].map(([name, { bytes, attributes }]): [string, string] => [name, `${attributes} ${bytes.toString('latin1')}`]).sort();

/** Forgets all directories, files, timers and pipes. */
export function forget(): void {
  for (const each of [directories, paths, files, timers, pipeEnds]) each.clear();
}

function entriesOf(fd: number): Map<string, File> {
  const entries = directories.get(fd);
  if (entries === undefined) throw new Error(`no directory is ${fd}`);
  return entries;
}

const fault = (code: string): Error => Object.assign(new Error(code), { code });

/** As strict as that in C. */
function slice(bytes: Uint8Array, from: number, to: number): Buffer {
  if (from < 0 || to < from || to > bytes.byteLength) throw new RangeError('slice out of range');
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from);
}

export const text = (bytes: Uint8Array, from: number, to: number): string => slice(bytes, from, to).toString();
export const latin1 = (bytes: Uint8Array, from: number, to: number): string => slice(bytes, from, to).toString('latin1');
export const bytes = (value: string): ArrayBuffer => new Uint8Array(Buffer.from(value)).buffer;
export const tarChecksum = (block: Uint8Array): number => block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
export const hmacSha256 = (key: string, value: string): string => createHmac('sha256', key).update(value).digest('hex');
export const randomHex = (): string => randomBytes(32).toString('hex');

export const PRINT_BYTES = 8;
export const takePrint = (_fd: number, name: string): void => require(name);
export const confirmPrint = takePrint;

export function changedFiles(_fd: number, names: readonly string[], prints: Uint8Array): number[] {
  names.forEach(require);
  if (names.length > prints.byteLength / PRINT_BYTES) findings.push('fewer prints than names');
  return [];
}

const findings: string[] = [];

/** In C this throws, which hides what was tried. */
function require(name: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) return;
  findings.push(`a file is to be called ${JSON.stringify(name)}`);
  throw new RangeError('expected a single name');
}

/** What was asked of this module that never may be, since it was asked last. */
export const takeFindings = (): string[] => findings.splice(0);

export function createFile(fd: number, name: string): number {
  require(name);
  if (Buffer.byteLength(name) > 255) throw fault('ENAMETOOLONG');
  if (entriesOf(fd).has(name)) throw fault('EEXIST');
  const file = { bytes: Buffer.alloc(0), attributes: '' };
  entriesOf(fd).set(name, file);
  files.set((lastFd += 1), file);
  return lastFd;
}

/** A file that stands there already. */
export const putFile = (fd: number, name: string, content: Buffer): void => void entriesOf(fd).set(name, { bytes: content, attributes: '' });

export function finishFile(fd: number, mode: number, uid: number, gid: number): void {
  (files.get(fd) as File).attributes = `${mode} ${uid} ${gid}`;
  files.delete(fd);
}

export function renameFile(from: number, to: number, name: string): void {
  require(name);
  entriesOf(to).set(name, entriesOf(from).get(name) as File);
  entriesOf(from).delete(name);
}

export function removeFile(fd: number, name: string): void {
  require(name);
  entriesOf(fd).delete(name);
}

export function isDirectory(_fd: number, name: string): boolean {
  require(name);
  return false;
}

export function sameFile(fd: number, other: number, name: string): boolean {
  require(name);
  const [one, two] = [entriesOf(fd).get(name), entriesOf(other).get(name)];
  return one !== undefined && two !== undefined && one.attributes === two.attributes && one.bytes.equals(two.bytes);
}

interface Peer {
  readonly sent: Buffer[];
  readonly received: Buffer[];
  /** Descriptors that come with the first bytes. */
  readonly descriptors: number[];
  closed: boolean;
  /** Nothing more comes, and no end either. */
  isHeld: boolean;
}

const peers = new Map<number, Peer>();
const accepted: number[] = [];
const connecting: number[] = [];
const timers = new Set<number>();
/** Ends of pipes. */
const pipeEnds = new Set<number>();

function peerOf(chunks: readonly Buffer[], waiting: number[], descriptors: number[]): Peer {
  const peer = { sent: [...chunks], received: [], descriptors, closed: false, isHeld: false };
  peers.set((lastFd += 1), peer);
  waiting.push(lastFd);
  return peer;
}

/** A connection of the host's that brings these bytes and then its end. */
export const dial = (chunks: readonly Buffer[], descriptors: number[] = []): Peer => peerOf(chunks, accepted, descriptors);

/** What the agent's next connection brings. */
export const answerWith = (chunks: readonly Buffer[]): Peer => peerOf(chunks, connecting, []);

export function accept(): [number, number] | null {
  const fd = accepted.shift();
  return fd === undefined ? null : [fd, 2];
}

/** Listeners have numbers below 0 here. */
let lastListener = -2_000_000_000;
export const unixListen = (): number => (lastListener -= 1);
export const listener = (): number => lastListener;

export const unixConnect = (): number => connecting.shift() as number;
export const connectResult = (): void => undefined;

export function read(fd: number, into: Uint8Array): number {
  const chunk = peers.get(fd)?.sent.shift();
  if (chunk === undefined) return 0;
  into.set(chunk);
  return chunk.length === 0 ? -1 : chunk.length;
}

export const receiveDescriptors = (fd: number, into: Uint8Array): number[] => [read(fd, into), ...peers.get(fd)?.descriptors.splice(0) ?? []];

export function write(fd: number, data: Uint8Array, from: number, to: number): number {
  const peer = peers.get(fd);
  const file = files.get(fd);
  if (peer !== undefined) peer.received.push(Buffer.from(slice(data, from, to)));
  else if (file !== undefined) file.bytes = Buffer.concat([file.bytes, slice(data, from, to)]);
  else throw new Error(`nothing is ${fd}`);
  return to - from;
}

export const sendDescriptors = (fd: number, data: Uint8Array): number => write(fd, data, 0, data.byteLength);

export function close(fd: number): void {
  const peer = peers.get(fd);
  if (peer !== undefined) peer.closed = true;
  const known = [peers.delete(fd), files.delete(fd), timers.delete(fd), pipeEnds.delete(fd)];
  if (!known.includes(true)) findings.push(`${fd} is closed, which is not open`);
}

/** One whose time never comes. */
export function timer(): number {
  timers.add((lastFd += 1));
  return lastFd;
}

export function isReadable(fd: number): boolean {
  const peer = peers.get(fd);
  return !timers.has(fd) && (peer === undefined || !peer.isHeld || peer.sent.length > 0);
}

export function pipes(stdin: boolean): number[] {
  const ends = Array.from({ length: 6 }, () => (lastFd += 1));
  if (!stdin) [ends[0], ends[3]] = [-1, -1];
  for (const end of ends) if (end >= 0) pipeEnds.add(end);
  return ends;
}

/** Descriptors that are open, directories aside. */
export const openCount = (): number => peers.size + files.size + timers.size + pipeEnds.size;

interface Spawned {
  readonly argv: readonly string[];
  readonly uid: number;
  readonly gid: number;
  readonly ends: readonly number[];
}

/** Who is told of each program; none may be started where nobody is. */
let onSpawn: ((spawned: Spawned) => number) | undefined;
export const takeSpawns = (listener: typeof onSpawn): void => void (onSpawn = listener);

export function spawn(argv: readonly string[], _env: readonly string[], _cwd: string, uid: number, gid: number, _groups: readonly string[], _stdin: boolean, ends: readonly number[] = []): number[] {
  if (onSpawn === undefined) throw new Error('a command is run for one who proved nothing');
  for (const end of ends) if (end >= 0) close(end);
  return [onSpawn({ argv, uid, gid, ends }), -1, -1, -1];
}
