// Every command: its words, what it is for, and where it is. A command's file is loaded only when it
// runs or shows its help, so that none pays for another.
import type { CommandModule } from './context.ts';

export interface CommandEntry {
  /** `secret create`, or `up`. */
  readonly words: readonly [string] | readonly [string, string];
  readonly alias?: string;
  readonly summary: string;
  /** What its arguments name, where the daemon knows all there are: completion asks it. Of `exec`, the first one. */
  readonly names?: 'vm' | 'secret';
  readonly load: () => Promise<CommandModule>;
}

/** First words that have commands below them. */
export const GROUPS: Readonly<Record<string, string>> = {
  secret: 'create, list, update and remove secrets',
  vm: 'launch VMs, look into them, delete them',
  vars: 'make the values that an inventory declares, and look after them',
  image: 'make guest images',
};

export const COMMANDS: readonly CommandEntry[] = [
  { words: ['new'], summary: 'print a commented configuration', load: () => import('./commands/new.ts') },
  { words: ['up'], summary: 'run the daemon', load: () => import('./commands/up.ts') },
  { words: ['run'], summary: 'run one VM in the foreground, with no daemon', load: () => import('./commands/run.ts') },
  { words: ['render'], summary: 'print what to start by oneself instead', load: () => import('./commands/render.ts') },
  { words: ['check'], summary: 'check a configuration', load: () => import('./commands/check.ts') },
  { words: ['explain'], summary: 'show which secret reaches a VM over which channel', load: () => import('./commands/explain.ts') },
  { words: ['secret', 'create'], summary: 'create a secret', load: () => import('./commands/secret-create.ts') },
  { words: ['secret', 'list'], alias: 'ls', summary: 'list secrets, without their values', load: () => import('./commands/secret-list.ts') },
  { words: ['secret', 'update'], summary: 'change the value, mode or owner of a secret', names: 'secret', load: () => import('./commands/secret-update.ts') },
  { words: ['secret', 'remove'], alias: 'rm', summary: 'remove a secret', names: 'secret', load: () => import('./commands/secret-remove.ts') },
  { words: ['vm', 'launch'], alias: 'add', summary: 'launch a VM', load: () => import('./commands/vm-launch.ts') },
  { words: ['vm', 'list'], alias: 'ls', summary: 'list VMs', load: () => import('./commands/vm-list.ts') },
  { words: ['vm', 'exec'], summary: 'run a command in a VM', names: 'vm', load: () => import('./commands/vm-exec.ts') },
  { words: ['vm', 'logs'], summary: 'show the console log of a VM', names: 'vm', load: () => import('./commands/vm-logs.ts') },
  { words: ['vm', 'secrets'], summary: 'show whether VMs have the newest values', names: 'vm', load: () => import('./commands/vm-secrets.ts') },
  { words: ['vm', 'health'], summary: 'ask the agent of a VM how it is', names: 'vm', load: () => import('./commands/vm-health.ts') },
  { words: ['vm', 'delete'], alias: 'rm', summary: 'stop VMs and remove what they left', names: 'vm', load: () => import('./commands/vm-delete.ts') },
  { words: ['attach'], summary: 'serve secrets to a VM that something else started', load: () => import('./commands/attach.ts') },
  { words: ['vars', 'generate'], summary: 'make the values that are missing', load: () => import('./commands/vars-generate.ts') },
  { words: ['vars', 'list'], alias: 'ls', summary: 'list values, and which are missing', load: () => import('./commands/vars-list.ts') },
  { words: ['vars', 'get'], summary: 'write one value to stdout', load: () => import('./commands/vars-get.ts') },
  { words: ['vars', 'set'], summary: 'put one value in its place', load: () => import('./commands/vars-set.ts') },
  { words: ['vars', 'check'], summary: 'check that every value is there', load: () => import('./commands/vars-check.ts') },
  { words: ['image', 'build'], summary: 'make a guest image: tiny or debian', load: () => import('./commands/image-build.ts') },
  { words: ['audit'], summary: 'show who changed, read and was refused what', load: () => import('./commands/audit.ts') },
  { words: ['info'], summary: 'show version and platform of the daemon', load: () => import('./commands/info.ts') },
  { words: ['completion'], summary: 'print what completes commands in a shell', load: () => import('./commands/completion.ts') },
  { words: ['version'], summary: 'show the version of this command', load: () => import('./commands/version.ts') },
];
