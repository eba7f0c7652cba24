// A VM whose processes run as a user of their own gets its files open, or named by a descriptor: no directory on
// their paths has to let that user through, and none of them has to be looked for again. Pure.
import type { InheritedDescriptor, VmSpec } from './contract.ts';

/** Of what a process inherits: after stdin, stdout and stderr. */
export const FIRST_INHERITED = 3;

/** Leads the process itself to what it inherited (proc_pid_fd(5)); what is opened there is opened with its own rights. */
export const pathOfDescriptor = (descriptor: number): string => `/proc/self/fd/${descriptor}`;

/**
 * The specification as a VMM is told of it that can be given no file but by its path, and what its process has to
 * inherit for that; the same where it runs as the one who starts it.
 */
export function namedByDescriptors(spec: VmSpec): { readonly spec: VmSpec; readonly descriptors: readonly InheritedDescriptor[] } {
  if (spec.sockets.owner === undefined) return { spec, descriptors: [] };
  const descriptors: InheritedDescriptor[] = [];
  const named = (path: string, access: 'name' | 'content' = 'name'): string =>
    pathOfDescriptor(FIRST_INHERITED + descriptors.push({ kind: 'file', path, access }) - 1);
  return {
    spec: {
      ...spec,
      kernel: named(spec.kernel, 'content'),
      ...(spec.initrd === undefined ? {} : { initrd: named(spec.initrd, 'content') }),
      volumes: spec.volumes.map((volume) => ({ ...volume, path: named(volume.path) })),
      shares: spec.shares.map((share) => ({ ...share, socket: named(share.socket) })),
    },
    descriptors,
  };
}
