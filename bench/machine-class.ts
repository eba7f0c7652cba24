// What kind of machine measured: its processors and memory, and nothing that names it.
import { cpus, totalmem } from 'node:os';

export function machineClass(): string {
  const processors = cpus();
  const model = (processors[0]?.model ?? 'unknown processor').replace(/\((?:R|TM)\)/g, '');
  return `${processors.length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version.slice(1)}`;
}
