// Loaded into the daemon under measurement, before it: on SIGUSR2 it collects its garbage and says so on
// descriptor 3, so that memory can be told from what was not collected yet.
const { writeSync } = require('node:fs');
const { getHeapCodeStatistics } = require('node:v8');

process.on('SIGUSR2', () => {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  // What the engine compiles, and forgets, and compiles again, comes and goes for hours: it is counted with what is resident alone.
  const { code_and_metadata_size: code, bytecode_and_metadata_size: bytecode } = getHeapCodeStatistics();
  writeSync(3, `${JSON.stringify({ heapBytes: heapUsed + external - code - bytecode })}\n`);
});
