// Loaded into the daemon under measurement, before it: on SIGUSR2 it collects its garbage and says so on
// descriptor 3, and on SIGUSR1 it writes a heap snapshot beside itself first, so that memory can be told from
// what was not collected yet, and objects from compiled code.
const { join } = require('node:path');
const { writeSync } = require('node:fs');
const { writeHeapSnapshot } = require('node:v8');

process.on('SIGUSR2', () => {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  writeSync(3, `${JSON.stringify({ heapBytes: heapUsed + external })}\n`);
});

process.on('SIGUSR1', () => {
  const path = writeHeapSnapshot(join(process.cwd(), 'measured.heapsnapshot'));
  writeSync(3, `${JSON.stringify({ path })}\n`);
});
