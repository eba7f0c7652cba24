// The names of credentials: which systemd takes, and which it acts on by itself. Pure; a name that is
// refused is never quoted, since somebody may have put a value where its name belongs.
import type { Problem } from '../errors/slicer-error.ts';
import type { SecretName } from '../secret/name.ts';
import { CREDENTIAL_NAME_MAX_BYTES, isCredentialName } from '../wire/credential-name.ts';

/** The credential that carries a VM's boot token. */
export const BOOT_TOKEN_CREDENTIAL = 'slicer.boot-token';

/** The credential that tells the agent on which port its host listens: three digits. */
export const HOST_PORT_CREDENTIAL = 'slicer.host-port';

export const DELIVER_CHOICES = ['boot', 'live', 'both'] as const;
export type Deliver = (typeof DELIVER_CHOICES)[number];

/** One secret that a VM is to get as a systemd credential. */
export interface CredentialWish {
  /** What the guest calls it: `LoadCredential=ID:NAME`. As somebody wrote it. */
  readonly name: string;
  readonly secret: SecretName;
  /** Whether one newline at the value's end is left out; bytes are exact otherwise. */
  readonly trimNewline: boolean;
  /** Whether a value of 0 bytes is meant. */
  readonly allowEmpty: boolean;
  /** Whether a name is meant that systemd acts on by itself. */
  readonly allowReserved: boolean;
  /** Over which channel; absent: at boot where the VM has a boot channel, else live. */
  readonly deliver?: Deliver | undefined;
}

export const CREDENTIAL_NAME_RULE =
  `a file name of 1 to ${CREDENTIAL_NAME_MAX_BYTES} printable ASCII characters without ":" and "="`;

/**
 * Names that a system or a service of systemd's imports and acts on without being told to: who sends one
 * sets passwords, writes units or rules, and so is root in the guest (systemd.system-credentials(7)).
 * `agetty.*` is imported by getty@.service and can log root in.
 */
export const RESERVED_CREDENTIALS: readonly string[] = [
  'agetty.*', 'cryptsetup.*', 'firstboot.*', 'fstab.extra', 'getty.*', 'home.*', 'import.*', 'journal.*', 'login.*', 'network.*',
  'passwd.*', 'shell.*', 'ssh.*', 'sysctl.*', 'system.*', 'systemd.*', 'sysusers.*', 'tmpfiles.*', 'udev.*', 'userdb.*',
  'vconsole.*', 'vmm.notify_socket',
];

/** The pattern that makes a name a reserved one. */
export function reservedPattern(name: string): string | undefined {
  return RESERVED_CREDENTIALS.find((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}

export interface NameProblem extends Problem {
  /** Which of the credentials. */
  readonly index: number;
}

const OWN_NAMES: readonly string[] = [BOOT_TOKEN_CREDENTIAL, HOST_PORT_CREDENTIAL];

/** What is wrong with the names of one VM's credentials, whatever the values are. `own`: the names that Slicer sends itself. */
export function credentialNameProblems(
  credentials: readonly Pick<CredentialWish, 'name' | 'secret' | 'allowReserved'>[],
  own: readonly string[] = OWN_NAMES,
): NameProblem[] {
  const first = new Map<string, SecretName>();
  return credentials.flatMap(({ name, secret, allowReserved }, index): NameProblem[] => {
    if (!isCredentialName(name)) {
      return [{
        index, code: 'invalid_name',
        message: `the name of ${Buffer.byteLength(name)} bytes that secret "${secret}" is to have as a credential must be ${CREDENTIAL_NAME_RULE}`,
      }];
    }
    const problems: NameProblem[] = [];
    const before = first.get(name);
    if (before === undefined) first.set(name, secret);
    else {
      problems.push({
        index, code: 'invalid_request',
        message: `credential "${name}" is there twice, for secrets "${before}" and "${secret}"; systemd takes the first and drops the other in silence`,
      });
    }
    const pattern = reservedPattern(name);
    if (own.includes(name)) {
      problems.push({ index, code: 'invalid_name', message: `credential "${name}" is Slicer's own`, hint: 'choose another name' });
    } else if (pattern !== undefined && !allowReserved) {
      problems.push({
        index, code: 'invalid_name',
        message: `credential "${name}" is one of ${pattern}, which systemd acts on by itself: who sends it is root in the guest`,
        hint: 'choose another name, or say that it is meant: allowReserved',
      });
    }
    return problems;
  });
}
