// The secrets of a run file, read once. `$CREDENTIALS_DIRECTORY` comes first: what is in it was put there by
// the service manager for this service, and is taken as it is; else the path that the file names.
import { isAbsolute, join } from 'node:path';
import type { RunSecret } from '../config/run-file.ts';
import { SlicerError, type Problem } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import { readCredentialFile, readSecretFile } from './secret-file.ts';

export interface SecretsReading {
  readonly values: ReadonlyMap<SecretName, Secret>;
  /** All that could not be read, each with why. */
  readonly problems: readonly Problem[];
}

export interface SecretPlaces {
  /** `$CREDENTIALS_DIRECTORY`; empty or undefined where there is none. */
  readonly credentialsDirectory: string | undefined;
  readonly callerUid: number;
}

export function readSecrets(secrets: readonly RunSecret[], places: SecretPlaces): SecretsReading {
  const values = new Map<SecretName, Secret>();
  const problems: Problem[] = [];
  for (const secret of secrets) {
    try {
      const value = readSecret(secret, places);
      if (value === undefined) problems.push(withoutSource(secret));
      else values.set(secret.wish.secret, value);
    } catch (error) {
      if (!(error instanceof SlicerError)) throw error;
      const { remedy } = secret;
      problems.push(...error.problems.map((problem) =>
        (problem.code === 'secret_not_found' && remedy !== undefined ? { ...problem, hint: remedy } : problem)));
    }
  }
  return { values, problems };
}

function readSecret({ wish: { secret }, path, isPublic = false }: RunSecret, { credentialsDirectory, callerUid }: SecretPlaces): Secret | undefined {
  const label = `secret "${secret}"`;
  // systemd.exec(5): it is an absolute path.
  const given = credentialsDirectory !== undefined && isAbsolute(credentialsDirectory)
    ? readCredentialFile(label, join(credentialsDirectory, secret)) : undefined;
  return given ?? (path === undefined ? undefined : readSecretFile(label, path, callerUid, isPublic));
}

const withoutSource = ({ wish: { secret } }: RunSecret): Problem => ({
  code: 'secret_not_found',
  message: `secret "${secret}" has no secretPath, and is not in $CREDENTIALS_DIRECTORY`,
  hint: `secretPath: PATH, or LoadCredential=${secret}:PATH in the unit that calls slicer run`,
});
