// The two places of a guest's secrets, in memory.
import { parseSecretName } from '../../src/secret/name.ts';
import { isCredentialName } from '../../src/wire/credential-name.ts';
import { load } from './agent-modules.ts';
import * as sys from './quickjs/sys.ts';

export interface Holdings {
  readonly names: readonly string[];
  altered(): string[];
}

export interface Place {
  readonly directory: { readonly path: string; readonly fd: number; readonly statePath: string; readonly stateFd: number; readonly stagingFd: number };
  readonly holdings: Holdings;
}

export interface Places {
  readonly secrets: Place;
  readonly opened: Place[];
  readonly count: number;
  readonly isAltered: boolean;
  readonly credentials: () => Place;
}

export interface Writer {
  push(chunk: Uint8Array): void;
  commit(): object;
  abort(): void;
}

export const { SecretsWriter } = await load<{ SecretsWriter: new (places: object, kind: 'full' | 'delta') => Writer }>('secrets-writer');
const { Holdings } = await load<{ Holdings: new (directory: Place['directory'], isName: (name: string) => boolean) => Holdings }>('holdings');

export const isSecretName = (name: string): boolean => parseSecretName(name) !== undefined;

/** What a place holds, as the agent that starts there finds it. */
export const holdingsOf = ({ directory }: Pick<Place, 'directory'>, isName: (name: string) => boolean): Holdings => new Holdings(directory, isName);

function directoryAt(path: string): Place['directory'] {
  const statePath = `${path}.agent`;
  return { path, fd: sys.directory(path), statePath, stateFd: sys.directory(statePath), stagingFd: sys.directory(`${statePath}/staging`) };
}

/** Empty ones, save for what `prepare` puts there before the agent looks. */
export function placesInMemory(prepare: (directory: Place['directory']) => void = () => undefined): Places {
  const place = (path: string, isName: (name: string) => boolean): Place => {
    const directory = directoryAt(path);
    prepare(directory);
    return { directory, holdings: holdingsOf({ directory }, isName) };
  };
  const secrets = place('/run/slicer/secrets', isSecretName);
  const credentials = place('/run/credstore', isCredentialName);
  const opened = [secrets];
  return {
    secrets, opened, count: 0, isAltered: false,
    credentials: () => (opened.includes(credentials) ? credentials : (opened.push(credentials), credentials)),
  };
}
