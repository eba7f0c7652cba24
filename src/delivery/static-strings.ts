// OEM strings that an operator writes as they are: for programs of his own in the guest, or credentials that
// are no secrets, such as `io.systemd.credential:ENVIRONMENT=production`. They stand in the clear wherever he
// wrote them. Pure.
import type { Problem } from '../errors/slicer-error.ts';
import { isCredentialName } from '../wire/credential-name.ts';
import { CREDENTIAL_NAME_RULE, reservedPattern } from './credential.ts';
import { vmmTitle, type VmmChoice } from './hypervisor.ts';

/** What systemd takes for a credential (systemd.system-credentials(7)): the name goes to the first "=". */
const CREDENTIAL = /^io\.systemd\.credential(?:\.binary)?:([^=]*)(=?)/;

/** `taken`: names of the credentials that the VM is sent besides. Never quotes a string: somebody may have put a value into it. */
export function staticStringProblems(label: string, vmm: VmmChoice, hasSmbios: boolean, strings: readonly string[], taken: readonly string[]): Problem[] {
  const names = [...taken];
  if (strings.length > 0 && !hasSmbios) {
    return [{
      code: 'invalid_request',
      message: `${label} has ${strings.length} static OEM strings, and ${vmmTitle(vmm)} has no SMBIOS to carry them`,
      hint: 'leave them out, or choose a VMM that has: QEMU q35, Cloud Hypervisor on x86_64',
    }];
  }
  return strings.flatMap((text, index): Problem[] => {
    const which = `static OEM string ${index + 1} of ${label}`;
    if (text === '') return [{ code: 'invalid_request', message: `${which} is empty, which ends the table's strings`, hint: 'leave it out' }];
    const nul = text.indexOf('\0');
    if (nul !== -1) {
      return [{ code: 'invalid_request', message: `${which} has a NUL at offset ${nul}, which ends a string of a table`, hint: 'leave it out' }];
    }
    const [, name, equals] = CREDENTIAL.exec(text) ?? [];
    if (name === undefined) return [];
    const problem = credentialProblem(name, equals === '=', names);
    names.push(name);
    return problem === undefined ? [] : [{ code: 'invalid_request', message: `${which} ${problem.fact}`, hint: problem.hint }];
  });
}

function credentialProblem(name: string, hasValue: boolean, taken: readonly string[]): { fact: string; hint: string } | undefined {
  if (!hasValue || !isCredentialName(name)) {
    return { fact: `is a credential whose name must be ${CREDENTIAL_NAME_RULE}, with "=" after it`, hint: 'io.systemd.credential:NAME=VALUE' };
  }
  if (taken.includes(name)) {
    return { fact: `is credential "${name}", which the VM has already; systemd takes the first and drops the other in silence`, hint: 'leave one of them out' };
  }
  const pattern = reservedPattern(name);
  if (pattern === undefined) return undefined;
  return {
    fact: `is credential "${name}", one of ${pattern}, which systemd acts on by itself: who sends it is root in the guest`,
    hint: 'choose another name, or declare a secret with allowReserved',
  };
}
