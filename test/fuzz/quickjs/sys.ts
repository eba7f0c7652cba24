// The agent's system calls over directories and connections in memory, for its parsers under Node. What it
// does not need of them is not here, so that a parser that comes to need more says so.
import { createHmac, randomBytes } from 'node:crypto';

interface File {
  bytes: Buffer;
  attributes: string;
}

const directories = new Map<number, Map<string, File>>();
const files = new Map<number, File>();
let lastFd = 100;

/** An empty directory. */
export function directory(): number {
  directories.set((lastFd += 1), new Map());
  return lastFd;
}

/** Names and contents of a directory. */
export const contents = (fd: number): [string, string][] =>
  [...entriesOf(fd)].map(([name, { bytes, attributes }]): [string, string] => [name, `${attributes} ${bytes.toString('latin1')}`]).sort();

/** Forgets all directories and files. */
export function forget(): void {
  directories.clear();
  files.clear();
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
export const takePrint = (): void => undefined;
export const confirmPrint = (): void => undefined;
export const changedFiles = (): number[] => [];

export function createFile(fd: number, name: string): number {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw new Error(`a file is to be called ${JSON.stringify(name)}`);
  if (Buffer.byteLength(name) > 255) throw fault('ENAMETOOLONG');
  if (entriesOf(fd).has(name)) throw fault('EEXIST');
  const file = { bytes: Buffer.alloc(0), attributes: '' };
  entriesOf(fd).set(name, file);
  files.set((lastFd += 1), file);
  return lastFd;
}

export function finishFile(fd: number, mode: number, uid: number, gid: number): void {
  (files.get(fd) as File).attributes = `${mode} ${uid} ${gid}`;
  files.delete(fd);
}

export function renameFile(from: number, to: number, name: string): void {
  entriesOf(to).set(name, entriesOf(from).get(name) as File);
  entriesOf(from).delete(name);
}

export const removeFile = (fd: number, name: string): void => void entriesOf(fd).delete(name);
export const isDirectory = (): boolean => false;

export function sameFile(fd: number, other: number, name: string): boolean {
  const [one, two] = [entriesOf(fd).get(name), entriesOf(other).get(name)];
  return one !== undefined && two !== undefined && one.attributes === two.attributes && one.bytes.equals(two.bytes);
}

interface Peer {
  readonly sent: Buffer[];
  readonly received: Buffer[];
  closed: boolean;
}

const peers = new Map<number, Peer>();
const accepted: number[] = [];

/** A connection of the host's that brings these bytes and then its end. */
export function dial(chunks: readonly Buffer[]): Peer {
  const peer = { sent: [...chunks], received: [], closed: false };
  peers.set((lastFd += 1), peer);
  accepted.push(lastFd);
  return peer;
}

export function accept(): [number, number] | null {
  const fd = accepted.shift();
  return fd === undefined ? null : [fd, 2];
}

export function read(fd: number, into: Uint8Array): number {
  const chunk = peers.get(fd)?.sent.shift();
  if (chunk === undefined) return 0;
  into.set(chunk);
  return chunk.length === 0 ? -1 : chunk.length;
}

export function write(fd: number, data: Uint8Array, from: number, to: number): number {
  const peer = peers.get(fd);
  const file = files.get(fd);
  if (peer !== undefined) peer.received.push(Buffer.from(slice(data, from, to)));
  else if (file !== undefined) file.bytes = Buffer.concat([file.bytes, slice(data, from, to)]);
  else throw new Error(`nothing is ${fd}`);
  return to - from;
}

export function close(fd: number): void {
  const peer = peers.get(fd);
  if (peer !== undefined) peer.closed = true;
  peers.delete(fd);
  files.delete(fd);
}

export function spawn(): never {
  throw new Error('a command is run for one who proved nothing');
}
