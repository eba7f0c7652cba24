// What two VMs of one machine may not both have: a name, a CID, a socket, an interface, or a disk that one
// of them writes. VMs of different machines never meet.
import type { InventoryVm } from './inventory.ts';
import type { Issue, Path } from './document.ts';
import type { RunFile } from './run-file.ts';

/** A VM, and where its settings are. */
export interface PlacedVm {
  readonly vm: InventoryVm;
  readonly path: Path;
}

interface Claim {
  /** What is claimed, as a key of its own. */
  readonly what: string;
  /** Whether others may have it too, if they say so as well. */
  readonly isShared: boolean;
  readonly path: Path;
  readonly rule: string;
}

/** One issue for each thing that an earlier VM has already. */
export function clashes(vms: readonly PlacedVm[]): Issue[] {
  const taken = new Map<string, { readonly by: InventoryVm; readonly isShared: boolean }>();
  return vms.flatMap(({ vm, path }) => claimsOf(vm.run).flatMap((claim): Issue[] => {
    const key = `${vm.machine}\0${claim.what}`;
    const before = taken.get(key);
    if (before === undefined) taken.set(key, { by: vm, isShared: claim.isShared });
    // Of one VM's own settings the rules of a run file speak.
    if (before === undefined || before.by === vm || (before.isShared && claim.isShared)) return [];
    return [{ path: [...path, ...claim.path], at: 'value', message: `expected ${claim.rule}, got that of instance "${before.by.name}"` }];
  }));
}

function claimsOf(run: RunFile): Claim[] {
  const own = (what: string, path: Path, rule: string): Claim => ({ what, path, rule, isShared: false });
  return [
    own(`name ${run.name}`, ['name'], 'a name of its own'),
    ...(run.cid === undefined ? [] : [own(`cid ${run.cid}`, ['vsock', 'cid'], 'a CID of its own')]),
    ...(run.vsockSocket === undefined ? [] : [own(`socket ${run.vsockSocket}`, ['vsock', 'socket'], 'a socket of its own')]),
    ...run.shares.map(({ socket }, index) => own(`socket ${socket}`, ['shares', index, 'socket'], 'a socket of its own')),
    ...run.interfaces.flatMap((network, index) => (network.kind === 'user' ? [] : [own(`interface ${network.name}`, ['interfaces', index, 'id'], 'an interface of its own')])),
    ...run.volumes.map(({ path, readOnly }, index): Claim => ({ what: `volume ${path}`, path: ['volumes', index, 'image'], rule: 'a disk of its own', isShared: readOnly })),
  ];
}
