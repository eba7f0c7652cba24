// Prints what to start by oneself: the VMM's arguments or document for the VM of a file.
import { Option, type Command } from 'commander';
import { resolve } from 'node:path';
import { findRenderDirectory } from '../../run/render-directory.ts';
import { partProblems } from '../../run/preparation.ts';
import { RENDER_FORMATS, renderVm, type RenderFormat } from '../../run/render.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import type { Context } from '../context.ts';
import { loadRunSubject, type InstanceFlags } from '../instance-options.ts';
import { say } from '../output.ts';
import { addVarsFlags } from '../vars-flags.ts';

interface Flags extends InstanceFlags {
  readonly format: RenderFormat;
  readonly directory?: string;
}

const EXAMPLES = `
With qemu-args what goes over the firmware is put into files of DIR, for you alone, and stdout has
QEMU's arguments, one a line, quoted. With cloud-hypervisor-json it is in the JSON on stdout, which
must not be a terminal then. What to do besides, and what to start before, is said on stderr.

Examples:
  $ slicer render --format=qemu-args db.yaml > db.args
  $ xargs qemu-system-x86_64 < db.args
  $ slicer render --format=cloud-hypervisor-json db.yaml |
      curl -X PUT --json @- --unix-socket api.sock http://localhost/api/v1/vm.create
  $ slicer render --format=firecracker-json db.yaml > vm.json
  $ firecracker --no-api --config-file vm.json`;

export function configure(command: Command, context: Context): void {
  command.argument('<vm>', 'its file, YAML or JSON, or an instance of the inventory');
  addVarsFlags(command)
    .addOption(new Option('--format <format>', 'what to print').choices(Object.keys(RENDER_FORMATS)).makeOptionMandatory())
    .option('--directory <dir>', 'where sockets will be, and files that hold secrets (default: one on a memory-backed file system)')
    .addHelpText('after', EXAMPLES)
    .action(async (vm: string, { format, directory, ...flags }: Flags) => {
      const uid = (process.geteuid as () => number)();
      await keepProcessPrivate(context.env['PATH'] ?? '');
      const file = await loadRunSubject(vm, flags, context, (sound) => partProblems(sound, { env: context.env, uid }));
      const { text, notes } = await renderVm(file, {
        format, uid, env: context.env,
        directory: directory === undefined ? await findRenderDirectory(file.name, uid, context.env) : resolve(directory),
        mayHoldValues: (context.stdout as NodeJS.WriteStream).isTTY !== true,
      });
      context.stdout.write(text);
      for (const note of notes) say(context, `slicer: note: ${note}`);
    });
}
