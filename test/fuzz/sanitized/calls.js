// Runs under QuickJS, linked with agent/sys.c and the compiler's sanitizers: each input that comes on stdin is a
// program of calls to `sys` with hostile arguments, whose descriptors and names stay within one directory.
// A call may throw; what may not be ends the process with the sanitizer's report.
//
// With the argument `relay` it is the relay between a VM's VSOCK and a Unix socket, with Unix sockets of the working
// directory in the place of VSOCK, and says when it listens.
import * as os from 'os';
import * as std from 'std';
import * as sys from 'sys';

if (scriptArgs[1] === 'relay') {
  const [guest, host] = [sys.unixListen('./from-guest'), sys.unixListen('./vm')];
  std.out.puts('ready\n');
  std.out.flush();
  sys.relay(guest, host, 3, './vm', 901, './guest');
}

const directory = sys.openDirectory('.');
const listener = sys.unixListen('./listener');
const [, ownIn, , , , ownOut] = sys.pipes(true).map((fd, at, all) => (at === 1 ? all[3] : at === 5 ? all[4] : fd));
const connected = sys.unixConnect('./listener');
const [accepted] = sys.accept(listener);
/** None of them blocks, and none is this program's own stdin, stdout or stderr. */
const FDS = [directory, listener, ownIn, ownOut, connected, accepted, -1, 999, 100000];

const thrower = { valueOf: () => { throw new Error('valueOf'); }, toString: () => { throw new Error('toString'); } };
const NUMBERS = [-1, 0, 1, 2, 63, 64, 65, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32 - 1, 2 ** 32, 2 ** 53, -(2 ** 53), NaN, Infinity, -Infinity, 1e308, 0.5];
const TEXTS = ['', 'x', 'kept', '.', 'a\0b', '\ud800', 'ünï', '4294967296', 'x'.repeat(107), 'x'.repeat(108), 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(5000), '\u{1f600}'.repeat(70)];
const OTHERS = [
  undefined, null, true, Symbol('x'), 10n, {}, [], [1, 2], thrower, { length: -1 }, { length: 2 ** 40 }, { length: 2 ** 60 }, { length: 128102389400760776 }, { length: NaN }, { get length() { throw new Error('length'); } },
  new Array(70).fill(-1), new Uint16Array(9), new Float64Array(9), new DataView(new ArrayBuffer(9)), new ArrayBuffer(9), new Uint8Array(0), () => 1,
];

let program = new Uint8Array(0);
let at = 0;
const next = () => (at < program.length ? program[at++] : 0);
const pick = (list) => list[next() % list.length];
const any = () => pick([NUMBERS, TEXTS, OTHERS])[next() % 14];
/** Most arguments are what they are to be. */
const mostly = (usual) => () => (next() % 8 === 0 ? any() : usual());

/** A descriptor of this program's own is never one that a conversion makes of something else. */
const fd = () => (next() % 16 === 0 ? pick([2 ** 31, -(2 ** 31), 1e6]) : pick(FDS));
const number = mostly(() => (next() % 2 === 0 ? pick(NUMBERS) : next()));
const text = mostly(() => (next() % 2 === 0 ? pick(TEXTS) : String.fromCharCode(...program.subarray(at, at + 40))));
const OUTSIDE = ['../none-such', './x', '/none-such', '..', '.', '', 'kept\0x', 'x/'];
/** A name below the directory, and of it. */
const name = () => String(pick(TEXTS));
/** Calls with names that are none must throw. */
const refuses = (call) => {
  let thrown;
  try {
    close(call(pick(OUTSIDE)));
  } catch (error) {
    thrown = error;
  }
  same(thrown instanceof RangeError, true, 'a name that leads out is refused');
};
const bytes = mostly(() => {
  const whole = new Uint8Array(program.slice(at, at + next()));
  return next() % 2 === 0 ? whole : whole.subarray(next() % (whole.length + 1));
});
const prints = mostly(() => {
  const whole = new Uint8Array((next() % 4) * sys.PRINT_BYTES + (next() % 3));
  return whole.subarray(next() % 2);
});
const index = mostly(() => next() % 4);
const names = mostly(() => Array.from({ length: next() % 5 }, () => (next() % 6 === 0 ? any() : name())));
const strings = () => Array.from({ length: 1 + (next() % 4) }, () => (next() % 4 === 0 ? any() : text()));
const fds = mostly(() => Array.from({ length: next() % 70 }, fd));
const path = () => `./${pick(['listener', 'nobody', 'y'.repeat(100), 'y'.repeat(107), 'y'.repeat(3000)])}`;

const close = (found) => {
  for (const each of Array.isArray(found) ? found : [found]) if (Number.isInteger(each) && each > 9 && !FDS.includes(each)) sys.close(each);
};

const same = (actual, expected, what) => {
  if (actual !== expected) throw Object.assign(new Error(`${what}: ${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`), { isFinding: true });
};

const range = () => {
  const data = bytes();
  return [data, number(), number()];
};

const CALLS = [
  () => sys.text(...range()),
  () => {
    const data = new Uint8Array(program.slice(at, at + next()));
    const from = next() % (data.length + 1);
    same(sys.latin1(data, from, data.length), Array.from(data.subarray(from), (byte) => String.fromCharCode(byte)).join(''), 'latin1');
    same(sys.tarChecksum(data), data.reduce((sum, byte, place) => sum + (place >= 148 && place < 156 ? 0 : byte), 256), 'tarChecksum');
  },
  () => sys.latin1(...range()),
  () => {
    const value = text();
    const encoded = new Uint8Array(sys.bytes(value));
    if (typeof value === 'string' && !/[\ud800-\udfff]/.test(value)) same(sys.text(encoded, 0, encoded.length), value, 'bytes');
  },
  () => sys.tarChecksum(bytes()),
  () => same(sys.hmacSha256(text(), text()).length, 64, 'hmacSha256'),
  () => sys.randomHex(),
  () => close(sys.unixConnect(path())),
  () => sys.notify(path(), text()),
  () => sys.sendDescriptors(pick([connected, accepted, ownOut, -1]), bytes(), fds()),
  () => close(sys.receiveDescriptors(pick([connected, accepted, ownIn, -1]), bytes()).slice(1)),
  () => close(sys.accept(fd())?.[0]),
  () => sys.connectResult(fd()),
  () => sys.read(fd(), bytes()),
  () => sys.write(pick([ownOut, connected, accepted, -1]), ...range()),
  () => close(sys.openDirectory(pick(['.', './listener', './none', './kept/', '']))),
  () => close(sys.makeDirectory(fd(), name(), pick([0o700, 0o755, -1, 2 ** 31]))),
  () => close(sys.createFile(fd(), name())),
  () => sys.finishFile(sys.createFile(directory, name()), number(), number(), number()),
  () => sys.renameFile(fd(), fd(), name()),
  () => sys.removeFile(fd(), name()),
  () => sys.isDirectory(fd(), name()),
  () => sys.sameFile(fd(), fd(), name()),
  () => sys.takePrint(fd(), name(), prints(), index()),
  () => sys.confirmPrint(fd(), name(), prints(), index()),
  () => sys.changedFiles(fd(), names(), prints()),
  () => refuses(pick([
    (outside) => sys.makeDirectory(directory, outside, 0o700), (outside) => sys.createFile(directory, outside), (outside) => sys.renameFile(directory, directory, outside),
    (outside) => sys.removeFile(directory, outside), (outside) => sys.isDirectory(directory, outside), (outside) => sys.sameFile(directory, directory, outside),
    (outside) => sys.takePrint(directory, outside, new Uint8Array(sys.PRINT_BYTES), 0), (outside) => sys.confirmPrint(directory, outside, new Uint8Array(sys.PRINT_BYTES), 0),
  ])),
  () => sys.fileSystemType(path()),
  () => close(sys.watchDirectory(pick(['.', './none', './listener']))),
  () => close(sys.timer(number())),
  () => close(sys.pipes(any())),
  () => sys.syncFile(pick([ownOut, -1, 999])),
  () => {
    // A process takes a hundred times as long as any other call.
    if (next() !== 7) return;
    const program = pick(['/bin/true', './none', '']);
    const [pid, ...streams] = sys.spawn([program, ...strings()], strings(), pick(['/', './none', '\0']), number(), number(), strings(), any(), next() % 2 === 0 ? undefined : pick([[], [-1, -1], { length: 3 }, 7]));
    close(streams);
    os.waitpid(pid, 0);
  },
];

for (;;) {
  const head = new Uint8Array(4);
  if (std.in.read(head.buffer, 0, 4) < 4) break;
  program = new Uint8Array(head[0] | (head[1] << 8) | (head[2] << 16));
  if (program.length > 0) std.in.read(program.buffer, 0, program.length);
  at = 0;
  let fault = '';
  while (at < program.length && fault === '') {
    try {
      pick(CALLS)();
    } catch (error) {
      if (error?.isFinding === true) fault = error.message;
    }
  }
  std.out.puts(`${fault.replaceAll('\n', ' ')}\n`);
  std.out.flush();
}
