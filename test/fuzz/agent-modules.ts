// The agent's modules under Node, with directories, connections and processes in memory in the place of QuickJS's.
import { registerHooks } from 'node:module';

const OWN_MODULES: ReadonlySet<string> = new Set(['sys', 'os', 'std']);

registerHooks({
  resolve: (specifier, context, next) => (OWN_MODULES.has(specifier) && context.parentURL?.includes('/agent/') === true
    ? next(new URL(`./quickjs/${specifier}.ts`, import.meta.url).href, context)
    : next(specifier, context)),
});

// What the build puts in the place of the name.
Object.assign(globalThis, { __VERSION__: '0.0.0' });

/** Files of the agent are checked with its own types, so that here each is what its use says. */
export const load = <T>(file: string): Promise<T> => import(new URL(`../../agent/${file}.ts`, import.meta.url).href) as Promise<T>;

export interface Fault extends Error {
  readonly code: string;
}

export const isFault = (error: unknown): boolean => (error as Fault).name === 'Fault' && typeof (error as Fault).code === 'string';
