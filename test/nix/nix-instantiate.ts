// Evaluates expressions of Nix with a store of their own, so that a test sees all that an evaluation puts there.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { after } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');

const isThere = (process.env['PATH'] ?? '').split(delimiter).some((directory) => existsSync(join(directory, 'nix-instantiate')));
export const NIX = { skip: isThere ? false : 'needs nix-instantiate: apt-get install --no-install-recommends nix-bin' };

/** nixpkgs' own `lib` where its directory is given, else as much of it as is needed. */
const LIB = `import ${process.env['SLICER_TEST_NIXPKGS_LIB'] ?? join(ROOT, 'test/nix/lib')}`;
/** Where the real ones are; undefined: what stands for them is taken. */
export const MICROVM_NIX = process.env['SLICER_TEST_MICROVM_NIX'];
const clanCore = process.env['SLICER_TEST_CLAN_CORE'];
/** A function from an inventory and a machine of it to the machine's configuration. */
export const CLAN = clanCore === undefined ? 'import (root + "/test/nix/clan.nix") { inherit lib; }' : `import (root + "/test/nix/clan-core.nix") { inherit lib; clanCore = "${clanCore}"; }`;

export interface Unit {
  readonly description: string;
  readonly wants: readonly string[];
  readonly requires: readonly string[];
  readonly after: readonly string[];
  readonly before: readonly string[];
  readonly conflicts: readonly string[];
  readonly wantedBy: readonly string[];
  readonly overrideStrategy: string;
  readonly unitConfig: Section;
}
export type Section = Readonly<Record<string, string | number | boolean | readonly string[]>>;
export interface Service extends Unit {
  readonly path: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly serviceConfig: Section;
}

/** What test/nix/evaluate.nix says of a configuration. */
export interface Host {
  readonly availableKernelModules: readonly string[];
  readonly services: Readonly<Record<string, Service>>;
  readonly sockets: Readonly<Record<string, Unit & { readonly listenStreams: readonly string[]; readonly socketConfig: Section }>>;
  readonly targets: Readonly<Record<string, Unit>>;
  /** Messages of assertions that do not hold. */
  readonly faults: readonly string[];
  /** Texts below /etc. */
  readonly files: Readonly<Record<string, string>>;
  readonly generators: Readonly<Record<string, { readonly script: string; readonly files: Readonly<Record<string, { readonly path: string; readonly secret: boolean; readonly mode: string }>> }>>;
}

export interface Evaluation {
  readonly stdout: string;
  readonly stderr: string;
  readonly failed: boolean;
}

export interface NixStore {
  /** `run` with `lib` in scope; paths are those of the checkout. */
  run(expression: string, ...options: string[]): Promise<Evaluation>;
  /** Its value. Throws what Nix said. */
  evaluate<T>(expression: string): Promise<T>;
  /** The configuration that modules, a list in Nix, make of what is in nix/. */
  host(modules: string): Promise<Host>;
  /** All bytes below the store and its state, names too. */
  contents(): Buffer;
}

/** Gone after the tests of the file. */
export function nixStore(): NixStore {
  const base = mkdtempSync(join(tmpdir(), 'slicer-nix-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  const env = { PATH: process.env['PATH'], HOME: base, NIX_STORE_DIR: join(base, 'store'), NIX_STATE_DIR: join(base, 'state'), NIX_LOG_DIR: join(base, 'log'), NIX_CONF_DIR: base, NIX_CONFIG: 'build-users-group =' };
  const run: NixStore['run'] = (expression, ...options) => new Promise((done) => {
    const text = `let lib = ${LIB}; root = ${ROOT}; in ${expression}`;
    execFile('nix-instantiate', ['--eval', '--strict', '--json', ...options, '--expr', text], { env, cwd: ROOT, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      done({ stdout, stderr, failed: error !== null });
    });
  });
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { stdout, stderr, failed } = await run(expression);
    if (failed) throw new Error(stderr);
    return JSON.parse(stdout) as T;
  };
  return {
    run,
    evaluate,
    host: (modules) => evaluate(`import (root + "/test/nix/evaluate.nix") { inherit lib; } ${modules}`),
    contents: () => Buffer.concat(readdirSync(base, { recursive: true, withFileTypes: true })
      .map((entry) => (entry.isFile() ? readFileSync(join(entry.parentPath, entry.name)) : Buffer.from(entry.name)))),
  };
}
