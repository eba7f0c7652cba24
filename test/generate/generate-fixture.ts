// What tests of generators share: directories that go, values as text, and programs that read keys.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { parseVarsInventory } from '../../src/config/generators-load.ts';
import type { Generator, VarsInventory } from '../../src/config/generators.ts';
import type { MakeHost } from '../../src/generate/make.ts';
import type { Secret } from '../../src/secret/secret.ts';

/** A private directory that is removed after the tests of the file. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'slicer-generate-'));
  after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export const ownUid = (): number => (process.geteuid as () => number)();

export const textOf = (secret: Secret | undefined): string => Buffer.from((secret as Secret).reveal()).toString();

export function scratchIn(directory: string): string {
  const scratch = join(directory, 'scratch');
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  return scratch;
}

export function hostIn(directory: string, options: Partial<MakeHost> = {}): MakeHost {
  return {
    scratchDirectory: async () => scratchIn(directory), path: process.env['PATH'] as string, directory, showsStderr: false, nowMs: () => Date.now(), ...options,
  };
}

/** `generators` as YAML, on these machines. */
export function inventoryOf(generators: string, machines: readonly string[] = ['m']): VarsInventory {
  const placed = machines.map((name) => `${name}: `).join(', ');
  return parseVarsInventory(`{instances: {i: {roles: {guest: {machines: {${placed}}}}}}, generators: ${generators}}`, 'inv.yaml');
}

/** The last generator of a text. */
export function generatorOf(generators: string): Generator {
  const { machines, shared } = inventoryOf(generators);
  return (machines[0]?.generators.at(-1) ?? shared.at(-1)) as Generator;
}

/** Why a test that needs a program is skipped; false when it is there. */
export function lacks(program: string, debianPackage: string): string | false {
  return spawnSync('which', [program]).status === 0 ? false : `needs ${program}: apt-get install ${debianPackage}`;
}

export const run = (program: string, args: readonly string[], input = ''): string => execFileSync(program, args, { input, encoding: 'utf8', stdio: 'pipe' });
