// The two places of what the host sends: the directory of secrets, and the store of credentials, which is
// made with the first of them, since most VMs get theirs at boot or have none.
import * as os from 'os';
import { parseSecretName } from '../src/secret/name.ts';
import { isCredentialName } from '../src/wire/credential-name.ts';
import { Holdings, manifestOf } from './holdings.ts';
import { clearStaging, CREDSTORE_MODE, openSecretsDirectory, SECRETS_MODE, type SecretsDirectory } from './secrets-directory.ts';

export const isSecretName = (name: string): boolean => parseSecretName(name) !== undefined;

export interface Place {
  readonly directory: SecretsDirectory;
  readonly holdings: Holdings;
}

export class Places {
  readonly secrets: Place;
  readonly #credstorePath: string;
  #credentials: Place | undefined;
  /** Called for a place that is opened later. */
  onOpened: (place: Place) => void = () => undefined;

  constructor(secretsPath: string, credstorePath: string) {
    this.#credstorePath = credstorePath;
    this.secrets = openPlace(secretsPath, SECRETS_MODE, isSecretName);
    // An agent before this one has put some there.
    if (os.stat(manifestOf(credstorePath))[0] !== null) this.credentials();
  }

  /** The store of credentials. Throws where there is no memory-backed place for it. */
  credentials(): Place {
    if (this.#credentials === undefined) {
      this.#credentials = openPlace(this.#credstorePath, CREDSTORE_MODE, isCredentialName);
      this.onOpened(this.#credentials);
    }
    return this.#credentials;
  }

  get credentialCount(): number {
    return this.#credentials?.holdings.names.length ?? 0;
  }

  get opened(): readonly Place[] {
    return this.#credentials === undefined ? [this.secrets] : [this.secrets, this.#credentials];
  }

  /** How many secrets and credentials are held. */
  get count(): number {
    return this.opened.reduce((sum, { holdings }) => sum + holdings.names.length, 0);
  }

  /** Whether anything is not as the agent left it. */
  get isAltered(): boolean {
    return this.opened.some(({ holdings }) => holdings.altered().length > 0);
  }
}

function openPlace(path: string, mode: number, isName: (name: string) => boolean): Place {
  const directory = openSecretsDirectory(path, mode);
  clearStaging(directory);
  return { directory, holdings: new Holdings(directory, isName) };
}
