// What finds no room in a boot channel. Pure. Items are taken in their order, and one that finds no room is
// passed over, so that each is named alone and what is smaller after it still fits.
import type { Problem } from '../errors/slicer-error.ts';
import { REQUEST_RESERVED_BYTES, type BootRoom, type StringCost } from './boot-room.ts';
import { credentialBytesOf, type BootItemSize } from './budgets.ts';
import { credentialText, liveInstead, type Addressee } from './credential-problems.ts';

export function roomProblems(vm: Addressee, room: BootRoom, items: readonly BootItemSize[]): Problem[] {
  const { label } = vm;
  return [
    ...tooManyItems(vm, room, items),
    ...withoutRoom(vm, items, 'tableBytes', 0, room.tableMaxBytes, (what, bytes, as, limit, used) =>
      `${what} is ${bytes} bytes as an OEM string${as}; the table of ${label} has ${limit}, ${used} used`),
    ...withoutRoom(vm, items, 'requestBytes', REQUEST_RESERVED_BYTES, room.requestMaxBytes, (what, bytes, as, limit, used) =>
      `${what} is ${bytes} bytes as an OEM string in JSON${as}; a request to Cloud Hypervisor has ${limit}, ${used} used for ${label}`),
    ...tooManyBytes(label, items),
  ];
}

function tooManyItems(vm: Addressee, { form, maxItems }: BootRoom, items: readonly BootItemSize[]): Problem[] {
  const beyond = items.slice(maxItems);
  if (beyond.length === 0) return [];
  const counted = (kind: BootItemSize['kind']): number => items.filter((item) => item.kind === kind).length;
  const statics = counted('static') === 0 ? '' : ` and ${counted('static')} static strings`;
  const what = form === 'oem-string' ? 'OEM strings; a table has' : 'files; fw_cfg has';
  return [{
    code: 'value_too_large',
    message: `${vm.label} has ${counted('credential')} credentials${statics}, with Slicer's own ${counted('own')} that makes ${items.length} ${what} ${maxItems}`,
    hint: hintFor(vm, beyond),
  }];
}

function withoutRoom(
  vm: Addressee, items: readonly BootItemSize[], measure: keyof StringCost, usedBefore: number, limit: number | undefined,
  message: (what: string, bytes: number, as: string, limit: number, used: number) => string,
): Problem[] {
  let used = usedBefore;
  let statics = 0;
  return items.flatMap((item): Problem[] => {
    if (item.kind === 'static') statics += 1;
    const bytes = item[measure];
    if (limit === undefined || used + bytes <= limit) {
      used += bytes;
      return [];
    }
    const [what, as] = item.kind === 'credential'
      ? [`secret "${item.wish.secret}"`, ` for ${credentialText(item.wish.name)}`]
      : [`static string ${statics}`, ''];
    return [{ code: 'value_too_large', message: message(what, bytes, as, limit, used), hint: hintFor(vm, [item]) }];
  });
}

function tooManyBytes(label: string, items: readonly BootItemSize[]): Problem[] {
  const { used, limit } = credentialBytesOf(items);
  if (used <= limit) return [];
  return [{
    code: 'value_too_large',
    message: `the credentials of ${label} are ${used} bytes together, with Slicer's own; systemd takes ${limit}`,
    hint: 'deliver some over the live channel: deliver: live',
  }];
}

/** Static strings have no other channel. */
function hintFor(vm: Addressee, items: readonly BootItemSize[]): string {
  const secrets = items.flatMap((item) => (item.kind === 'credential' ? [item.wish.secret] : []));
  return secrets.length === 0 ? 'leave static strings out, or credentials before them' : liveInstead(vm, secrets);
}
