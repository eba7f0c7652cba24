// The types of the C module (sys.c), and of the few functions of QuickJS's own modules that the agent uses.

declare module 'sys' {
  /** UTF-8 text of bytes [from, to). */
  export function text(bytes: Uint8Array, from: number, to: number): string;
  /** Bytes [from, to) as a string of the same length, one character a byte. */
  export function latin1(bytes: Uint8Array, from: number, to: number): string;
  /** UTF-8. */
  export function bytes(text: string): ArrayBuffer;
  export function tarChecksum(block: Uint8Array): number;
  export function hmacSha256(key: string, text: string): string;
  /** 32 random bytes as hexadecimal. */
  export function randomHex(): string;

  export function vsockListen(port: number): number;
  /** Port of a VSOCK listener that the agent was started with; -1 for any other socket. */
  export function adoptListener(fd: number): number;
  export function vsockConnect(cid: number, port: number): number;
  export function vsockLocalCid(): number;
  /** In the place of whatever is there. */
  export function unixListen(path: string): number;
  export function unixConnect(path: string): number;
  export function accept(fd: number): [fd: number, peerCid: number] | null;
  /** A datagram to a service manager's socket; an abstract name begins with `@`. */
  export function notify(path: string, text: string): void;
  /** Count of bytes that were taken, the descriptors with the first of them; -1 when it would block. */
  export function sendDescriptors(fd: number, bytes: Uint8Array, descriptors: readonly number[]): number;
  /** Count of bytes, -1 when it would block; then what descriptors came with them. */
  export function receiveDescriptors(fd: number, into: Uint8Array): [count: number, ...descriptors: number[]];
  export function connectResult(fd: number): void;
  /** Count of bytes; 0 at the end; -1 when it would block. */
  export function read(fd: number, into: Uint8Array): number;
  export function write(fd: number, bytes: Uint8Array, from: number, to: number): number;
  export function close(fd: number): void;

  export function openDirectory(path: string): number;
  export function makeDirectory(fd: number, name: string, mode: number): number;
  export function createFile(fd: number, name: string): number;
  export function syncFile(fd: number): void;
  export function finishFile(fd: number, mode: number, uid: number, gid: number): void;
  export function renameFile(fromFd: number, toFd: number, name: string): void;
  export function removeFile(fd: number, name: string): void;
  export function isDirectory(fd: number, name: string): boolean;
  export function sameFile(fd: number, otherFd: number, name: string): boolean;
  export const PRINT_BYTES: number;
  export function takePrint(fd: number, name: string, prints: Uint8Array, index: number): void;
  export function confirmPrint(fd: number, name: string, prints: Uint8Array, index: number): void;
  export function changedFiles(fd: number, names: readonly string[], prints: Uint8Array): number[];

  export function fileSystemType(path: string): number;
  export function mountTmpfs(path: string): void;
  export function watchDirectory(path: string): number;
  export function timer(ms: number): number;
  /** Of this process, all of them, for ever. */
  export function dropCapabilities(): void;
  export function effectiveUid(): number;
  /** Evaluates the bytecode of agent/auxiliary.ts. */
  export function runAuxiliary(): void;
  export function processId(): number;
  /** For a program: its stdin (-1 where it has none), stdout and stderr; then this side of each. */
  export function pipes(stdin: boolean): number[];
  /** Throws with the child's `pid` where only the program was at fault. `ends`: its streams, which are closed here; else pipes. */
  export function spawn(
    argv: readonly string[],
    env: readonly string[],
    cwd: string,
    uid: number,
    gid: number,
    groups: readonly string[],
    stdin: boolean,
    ends?: readonly number[],
  ): [pid: number, stdin: number, stdout: number, stderr: number];

  /** Until the process ends. `guestPath`: Unix sockets in the place of the guest's VSOCK ports. */
  export function relay(
    guestListener: number,
    hostListener: number,
    cid: number,
    path: string,
    hostPort: number,
    guestPath: string | undefined,
  ): never;
}

declare module 'os' {
  export interface FileStatus {
    readonly dev: number;
    readonly ino: number;
    readonly size: number;
    readonly mode: number;
    readonly uid: number;
    readonly gid: number;
  }
  export function setReadHandler(fd: number, handler: (() => void) | null): void;
  export function setWriteHandler(fd: number, handler: (() => void) | null): void;
  export function setTimeout(handler: () => void, delayMs: number): object;
  export function clearTimeout(timer: object): void;
  export function signal(signal: number, handler: (() => void) | null | undefined): void;
  export function waitpid(pid: number, options: number): [pid: number, status: number];
  export function kill(pid: number, signal: number): number;
  export function mkdir(path: string, mode?: number): number;
  export function remove(path: string): number;
  export function rename(from: string, to: string): number;
  export function readdir(path: string): [names: string[], error: number];
  export function stat(path: string): [status: FileStatus | null, error: number];
  export function symlink(target: string, path: string): number;
  export function readlink(path: string): [target: string, error: number];
  export function realpath(path: string): [path: string, error: number];
  /** Exit code, or -N for signal N. */
  export function exec(argv: readonly string[]): number;
  export function now(): number;
  export const WNOHANG: number;
  export const SIGCHLD: number;
  export const SIGTERM: number;
  export const SIGINT: number;
}

declare module 'std' {
  export interface File {
    puts(text: string): void;
    flush(): void;
    read(buffer: ArrayBuffer, offset: number, length: number): number;
    /** The next line without its line end; null at the end of the file. */
    getline(): string | null;
    close(): number;
  }
  export const out: File;
  export const err: File;
  export function open(path: string, mode: string): File | null;
  export function loadFile(path: string): string | null;
  export function getenv(name: string): string | undefined;
  export function exit(code: number): never;
}

/** The command line, of which QuickJS makes a global. */
declare const scriptArgs: readonly string[];
