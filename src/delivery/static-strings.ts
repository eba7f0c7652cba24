// OEM strings that are no credentials: what an operator writes as they are, for programs of his own in the
// guest. They stand in the clear wherever he wrote them, so a credential is not taken for one. Pure.
import type { Problem } from '../errors/slicer-error.ts';
import { vmmTitle, type VmmChoice } from './hypervisor.ts';

/** systemd takes strings that begin so, with `:` or `.binary:` after it, for credentials. */
const CREDENTIAL_PREFIX = 'io.systemd.credential';

/** Never quotes a string: somebody may have put a value into it. */
export function staticStringProblems(label: string, vmm: VmmChoice, hasSmbios: boolean, strings: readonly string[]): Problem[] {
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
    if (text.startsWith(CREDENTIAL_PREFIX)) {
      return [{
        code: 'invalid_request', message: `${which} is a credential (${CREDENTIAL_PREFIX}...), and would not be kept as one`,
        hint: 'declare a secret instead: it is then read from a file of its own, and checked',
      }];
    }
    return [];
  });
}
