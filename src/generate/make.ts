// Makes the values of one generator, of whatever kind. Touches no file but those of a program's scratch
// directory; who calls it keeps the values.
import { randomUUID } from 'node:crypto';
import type { Generator } from '../config/generators.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { runCommand, type CommandHost } from './command.ts';
import { makePassword } from './password.ts';
import { makeRandom, secretOf } from './random.ts';

export interface MakeRequest {
  readonly generator: Generator;
  /** The machine, or the generator's own name where machines share it: what keys and certificates are called. */
  readonly subject: string;
  /** The values of each generator that this one depends on, by their file names. */
  readonly dependencies: ReadonlyMap<string, ReadonlyMap<string, Secret>>;
  /** What was typed, for every prompt. */
  readonly prompts: ReadonlyMap<string, Secret>;
}

export interface MakeHost extends CommandHost {
  readonly nowMs: () => number;
}

/** A value for every file of the generator. Throws generate_failed, value_too_large, no_memory_file_system. */
export async function makeValues(request: MakeRequest, host: MakeHost): Promise<ReadonlyMap<string, Secret>> {
  const { generator, subject, dependencies, prompts } = request;
  const { recipe, files } = generator;
  const forEachFile = (make: () => Secret): ReadonlyMap<string, Secret> => new Map(files.map(({ name }) => [name, make()]));
  switch (recipe.kind) {
    case 'random': return forEachFile(() => makeRandom(recipe));
    case 'uuid': return forEachFile(() => secretOf(randomUUID()));
    case 'password': return makePassword(recipe.length, prompts.get('password'));
    case 'prompt': return prompts;
    // Libraries of keys and certificates take a while to load.
    case 'ssh-ed25519': return (await import('./keys.ts')).makeSshKey(recipe.comment ?? `${generator.name}@${subject}`);
    case 'age': return (await import('./keys.ts')).makeAgeKey();
    case 'wireguard': return (await import('./keys.ts')).makeWireguardKey();
    case 'x509': {
      const authority = recipe.signedBy === undefined ? undefined : dependencies.get(recipe.signedBy);
      if (recipe.signedBy !== undefined && authority === undefined) throw fail('generate_failed', `the CA "${recipe.signedBy}" is not there`);
      const { makeCertificate } = await import('./certificate.ts');
      return makeCertificate({ recipe, fallbackName: subject.slice(0, 64), authority, nowMs: host.nowMs() });
    }
    case 'command': {
      const inputs = new Map([...dependencies].flatMap(([name, values]) => [...values].map(([file, value]) => [`${name}/${file}`, value] as const)));
      return runCommand({ recipe, files, inputs, prompts }, host);
    }
  }
}

/** Whether each file's value is made without the others: then one can be added to those that are there. */
export const makesEachFileAlone = ({ recipe: { kind } }: Generator): boolean => ['random', 'uuid', 'prompt'].includes(kind);
