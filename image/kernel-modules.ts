// Kernel modules as modprobe(8) finds them: which modules a module needs, and by which names a device or
// the kernel itself asks for it. Both stand in the module's own `.modinfo`, so nothing of kmod is needed.

export interface KernelModule {
  /** As its file is named, without `.ko`. */
  readonly name: string;
  /** Path below the directory of the kernel's modules. */
  readonly path: string;
  readonly data: Uint8Array;
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
}

/** Reads what a module says of itself. `path` ends in `.ko`. */
export function readModule(path: string, data: Uint8Array): KernelModule {
  const text = Buffer.from(data).toString('latin1');
  // Fields of the section are `key=value`, each ended by NUL.
  const values = (key: string) => [...text.matchAll(new RegExp(`\\0${key}=([^\\0]*)(?=\\0)`, 'g'))].map((match) => match[1] as string);
  return {
    name: moduleName(path),
    path,
    data,
    depends: values('depends').flatMap((list) => list.split(',')).filter((name) => name !== '').map(canonical),
    aliases: values('alias'),
  };
}

/** A module's name as others name it: the kernel takes `-` and `_` for the same. */
export const moduleName = (path: string): string =>
  canonical(path.slice(path.lastIndexOf('/') + 1).replace(/\.ko(\..+)?$/, ''));

const canonical = (name: string): string => name.replaceAll('-', '_');

/** `modules.dep`: each module with all that must be there before it, the first needed last (depmod(8)). */
export function modulesDep(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const needed = (module: KernelModule): string[] =>
    module.depends.flatMap((name) => {
      const dependency = byName.get(name);
      return dependency === undefined ? [] : [dependency.path, ...needed(dependency)];
    });
  // Of a module that several need the last mention counts: it must come after all of them.
  const order = (module: KernelModule): string[] => [...new Set(needed(module).reverse())].reverse();
  return modules.map((module) => `${module.path}:${order(module).map((path) => ` ${path}`).join('')}\n`).join('');
}

/** `modules.alias`, which leads from a device's `modalias` or a name such as `net-pf-40` to a module. */
export const modulesAlias = (modules: readonly KernelModule[]): string =>
  modules.flatMap((module) => module.aliases.map((alias) => `alias ${alias} ${module.name}\n`)).join('');
