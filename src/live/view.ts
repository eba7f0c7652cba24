// What one VM should hold, as a pure function of the source and its scope. Nothing here knows of a secret
// outside the scope, so nothing behind it can leak one.
import type { FileAttributes } from '../secret/file-attributes.ts';
import type { SecretName } from '../secret/name.ts';
import type { Secret } from '../secret/secret.ts';
import type { StoredSecret } from '../store/contract.ts';
import type { LiveCredential } from './contract.ts';
import { credentialEntry, type Scope } from './scope.ts';
import type { SourceSnapshot } from './secret-source.ts';

export interface View {
  readonly snapshot: SourceSnapshot;
  readonly scope: Scope;
  /**
   * The source's counter at the last change of what the VM should hold: a change outside the scope does
   * not move it. It stays on the host, since the gaps between versions count the changes of others.
   */
  readonly version: number;
}

/** One secret in one form. */
export interface Item {
  /** Its name in an archive. */
  readonly entry: string;
  readonly secret: SecretName;
  /** The credential's name; absent for a file. */
  readonly credential?: string;
  readonly value: Secret;
  readonly attributes: FileAttributes;
  readonly modifiedAtMs: number;
  readonly version: number;
}

export interface Changes {
  readonly items: readonly Item[];
  /** Entries that are gone. */
  readonly removed: readonly string[];
}

/** systemd reads credentials as root; nobody else has to. */
const CREDENTIAL_ATTRIBUTES: FileAttributes = { mode: 0o400, uid: 0, gid: 0 };

/** By snapshot and by the scope's key: thousands of VMs with one scope look once. */
const views = new WeakMap<SourceSnapshot, Map<string, View>>();

export function viewOf(snapshot: SourceSnapshot, scope: Scope): View {
  let ofSnapshot = views.get(snapshot);
  if (ofSnapshot === undefined) views.set(snapshot, (ofSnapshot = new Map()));
  let view = ofSnapshot.get(scope.key);
  if (view === undefined) ofSnapshot.set(scope.key, (view = newView(snapshot, scope)));
  return view;
}

function newView(snapshot: SourceSnapshot, scope: Scope): View {
  if (scope.grant === 'all') return { snapshot, scope, version: snapshot.counter };
  let version = 0;
  for (const name of secretsOf(scope)) {
    version = Math.max(version, snapshot.secrets.get(name)?.version ?? 0, snapshot.removed.get(name) ?? 0);
  }
  return { snapshot, scope, version };
}

/** What the scope covers and the source holds: files, then credentials. */
export function itemsOf({ snapshot, scope }: Pick<View, 'snapshot' | 'scope'>): Item[] {
  const granted = scope.grant === 'all'
    ? [...snapshot.secrets.values()]
    : [...new Set(scope.grant)].flatMap((name) => snapshot.secrets.get(name) ?? []);
  const credentials = scope.credentials.flatMap((credential) => {
    const secret = snapshot.secrets.get(credential.secret);
    return secret === undefined ? [] : [asCredential(secret, credential)];
  });
  return [...granted.map(asFile), ...credentials];
}

/** What a VM that holds everything up to version `base` lacks. */
export function changesSince(view: View, base: number): Changes {
  return {
    items: itemsOf(view).filter(({ version }) => version > base),
    removed: removalsOf(view).filter(({ version }) => version > base).map(({ entry }) => entry),
  };
}

function removalsOf({ snapshot: { removed }, scope: { grant, credentials } }: View): { entry: string; version: number }[] {
  const files = (grant === 'all' ? [...removed.keys()] : [...new Set(grant)]).map((name) => ({ entry: name as string, secret: name }));
  const all = [...files, ...credentials.map(({ name, secret }) => ({ entry: credentialEntry(name), secret }))];
  return all.flatMap(({ entry, secret }) => {
    const version = removed.get(secret);
    return version === undefined ? [] : [{ entry, version }];
  });
}

const secretsOf = ({ grant, credentials }: Scope): SecretName[] =>
  [...(grant === 'all' ? [] : grant), ...credentials.map(({ secret }) => secret)];

const asFile = ({ name, value, attributes, modifiedAtMs, version }: StoredSecret): Item =>
  ({ entry: name, secret: name, value, attributes, modifiedAtMs, version });

const asCredential = ({ name: secret, value, modifiedAtMs, version }: StoredSecret, { name, trimNewline }: LiveCredential): Item => ({
  entry: credentialEntry(name), secret, credential: name,
  value: trimNewline ? value.withoutFinalNewline() : value,
  attributes: CREDENTIAL_ATTRIBUTES, modifiedAtMs, version,
});
