// What the objects of a process take, by a heap snapshot of V8: strings, arrays, functions, buffers and whatever
// else a program makes. Compiled code, what the engine has learned of it and of the shapes of objects is left out:
// it comes with what has run so far, goes when it is not used, and says nothing of what a program keeps.
import { readFileSync } from 'node:fs';

const ENGINES_OWN = new Set(['code', 'hidden', 'object shape', 'synthetic']);

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly [readonly string[], ...unknown[]] } };
  readonly nodes: readonly number[];
}

/** Bytes, of the file that writeHeapSnapshot made. It collects the garbage first. */
export function objectBytes(path: string): number {
  const { snapshot: { meta: { node_fields: fields, node_types: [types] } }, nodes } = JSON.parse(readFileSync(path, 'utf8')) as Snapshot;
  const [type, size] = [fields.indexOf('type'), fields.indexOf('self_size')];
  let bytes = 0;
  for (let node = 0; node < nodes.length; node += fields.length) {
    if (!ENGINES_OWN.has(types[nodes[node + type] as number] as string)) bytes += nodes[node + size] as number;
  }
  return bytes;
}
