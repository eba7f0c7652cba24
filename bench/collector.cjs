// Loaded into the daemon under measurement, before it: on SIGUSR2 it collects its garbage and says so on
// descriptor 3, so that memory can be told from what was not collected yet.
const { writeSync } = require('node:fs');

process.on('SIGUSR2', () => {
  globalThis.gc();
  globalThis.gc();
  writeSync(3, `${JSON.stringify(process.memoryUsage())}\n`);
});
