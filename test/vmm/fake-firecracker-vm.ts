// The state behind Firecracker's API: what it was told, in the order that it allows, and what it then does.
import { accessSync, constants } from 'node:fs';
import type { z } from 'zod';
import { VsockDevice } from '../live/vsock-device.ts';
import * as schemas from './fake-firecracker-schemas.ts';

const CPUS_MAX = 32;
const CMDLINE_MAX_BYTES = 2048;
const POST_BOOT = 'The requested operation is not supported after starting the microVM.';
const PRE_BOOT = 'The requested operation is not supported before starting the microVM.';

/** An answer: undefined is 204 without a body. */
export class Fault extends Error {}

export interface Effects {
  /** The guest starts. */
  start(cmdline: string, device: VsockDevice | undefined): void;
  /** The guest is asked to reboot. */
  ctrlAltDel(): void;
}

export class FakeVm {
  readonly #id: string;
  readonly #effects: Effects;
  readonly #drives = new Set<string>();
  #memoryMib = 128;
  #balloonMib = 0;
  #devices = 0;
  #cmdline: string | undefined;
  #device: VsockDevice | undefined;
  #state: 'Not started' | 'Running' = 'Not started';

  constructor(id: string, effects: Effects) {
    this.#id = id;
    this.#effects = effects;
  }

  get(path: string): object {
    if (path === '/') return { id: this.#id, state: this.#state, vmm_version: '1.16.1', app_name: 'Firecracker' };
    if (path === '/version') return { firecracker_version: '1.16.1' };
    throw new Fault(`Invalid request method and/or path: GET ${path.slice(1)}.`);
  }

  async put(path: string, body: unknown): Promise<void> {
    const [member = '', id] = path.slice(1).split('/');
    if (member === 'actions') return this.#act(parse(schemas.action, body).action_type);
    const configure = this.#members[member];
    if (configure === undefined) throw new Fault(`Invalid request method and/or path: PUT ${member}.`);
    const apply = configure(body, id);
    // A body that can't be read is refused before what it says, and that before when it is said.
    if (this.#state === 'Running') throw new Fault(POST_BOOT);
    await apply();
  }

  readonly #members: Record<string, (body: unknown, id: string | undefined) => () => void | Promise<void>> = {
    'machine-config': (body) => {
      const { vcpu_count, mem_size_mib } = parse(schemas.machineConfig, body);
      return () => {
        if (vcpu_count === 0 || vcpu_count > CPUS_MAX) {
          throw new Fault(`Machine config error: The number of vCPUs must be greater than 0, less than ${CPUS_MAX} and must be 1 or an even number if SMT is enabled.`);
        }
        if (mem_size_mib === 0) throw new Fault('Machine config error: The memory size (MiB) is either 0, or not a multiple of the configured page size.');
        this.#memoryMib = mem_size_mib;
      };
    },
    'boot-source': (body) => {
      const { kernel_image_path, initrd_path, boot_args } = parse(schemas.bootSource, body);
      return () => {
        readable(kernel_image_path, (why) => `Boot source error: The kernel file cannot be opened: ${why}`);
        if (typeof initrd_path === 'string') {
          readable(initrd_path, (why) => `Boot source error: The initrd file cannot be opened due to invalid path or invalid permissions. ${why}`);
        }
        const cmdline = boot_args ?? 'reboot=k panic=1 nomodule 8250.nr_uarts=0';
        if (Buffer.byteLength(cmdline) > CMDLINE_MAX_BYTES) throw new Fault('Boot source error: The kernel command line is invalid: Invalid cmdline capacity provided.');
        this.#cmdline = cmdline;
      };
    },
    drives: (body, id) => {
      const { drive_id, path_on_host } = parse(schemas.drive, body);
      checkId(id, drive_id, 'The id from the path does not match the id from the body!');
      return () => {
        readable(path_on_host ?? '', (why) => `Drive config error: Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file: ${why} ${path_on_host}`);
        if (!this.#drives.has(drive_id)) this.#devices += 1;
        this.#drives.add(drive_id);
      };
    },
    'network-interfaces': (body, id) => {
      const { iface_id } = parse(schemas.networkInterface, body);
      checkId(id, iface_id, `The id from the path [${id}] does not match the id from the body [${iface_id}]!`);
      return () => void (this.#devices += 1);
    },
    vsock: (body) => {
      const { uds_path } = parse(schemas.vsock, body);
      return async () => {
        try {
          this.#device = await VsockDevice.listen(uds_path);
        } catch {
          throw new Fault('Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: Address in use (os error 98)');
        }
        this.#devices += 1;
      };
    },
    entropy: (body) => {
      parse(schemas.entropy, body);
      return () => void (this.#devices += 1);
    },
    balloon: (body) => {
      const { amount_mib } = parse(schemas.balloon, body);
      return () => {
        if (amount_mib > this.#memoryMib) throw new Fault('Balloon config error: Amount of pages requested is too large.');
        this.#balloonMib = amount_mib;
        this.#devices += 1;
      };
    },
  };

  #act(type: z.infer<typeof schemas.action>['action_type']): void {
    if (type === 'InstanceStart') {
      if (this.#state === 'Running') throw new Fault(POST_BOOT);
      if (this.#cmdline === undefined) throw new Fault('Start microvm error: Cannot start microvm without kernel configuration.');
      const bytes = Buffer.byteLength(this.#cmdline) + ' pci=off'.length + this.#devices * ' virtio_mmio.device=4K@0xc0001000:5'.length + 1;
      if (bytes > CMDLINE_MAX_BYTES) throw new Fault('Start microvm error: Invalid kernel command line: Inserting string would make command line too long.');
      if (this.#balloonMib > this.#memoryMib) throw new Fault('Machine config error: The memory size (MiB) is smaller than the previously set balloon device target size.');
      this.#state = 'Running';
      this.#effects.start(this.#cmdline, this.#device);
      return;
    }
    if (this.#state !== 'Running') throw new Fault(PRE_BOOT);
    if (type === 'SendCtrlAltDel') this.#effects.ctrlAltDel();
  }
}

function parse<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const why = issue?.code === 'unrecognized_keys' ? `unknown field \`${issue.keys[0]}\`` : `${issue?.path.join('.')}: ${issue?.message}`;
  throw new Fault(`An error occurred when deserializing the json body of a request: ${why} at line 1 column 1.`);
}

function checkId(fromPath: string | undefined, fromBody: string, mismatch: string): void {
  if (fromPath === undefined || fromPath === '') throw new Fault('The ID cannot be empty.');
  if (!/^\w+$/.test(fromPath)) throw new Fault('API Resource IDs can only contain alphanumeric characters and underscores.');
  if (fromPath !== fromBody) throw new Fault(mismatch);
}

function readable(path: string, message: (why: string) => string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch {
    throw new Fault(message('No such file or directory (os error 2)'));
  }
}
