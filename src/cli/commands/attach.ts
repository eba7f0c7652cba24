// Serves one VM that something else started: through a daemon where a URL is given, else in the
// foreground, from a store that no daemon needs to serve.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { fail } from '../../errors/slicer-error.ts';
import { Archives } from '../../live/archives.ts';
import type { LiveVm } from '../../live/contract.ts';
import { randomHex } from '../../live/dependencies.ts';
import { LIVE_LIMITS } from '../../live/limits.ts';
import { startLiveVm } from '../../live/live-vm.ts';
import { ForegroundAudit } from '../../run/audit.ts';
import type { SecretName } from '../../secret/name.ts';
import { openStore, type Store } from '../../store/store.ts';
import { keepProcessPrivate } from '../../vm/private-process.ts';
import { addConnectionOptions, clientFor, hasUrl } from '../connection.ts';
import type { Context } from '../context.ts';
import { HOSTNAME, HOSTNAME_RULE } from '../../api/hostname.ts';
import { addGrantOptions } from '../grant-options.ts';
import { say, warn } from '../output.ts';

interface Flags {
  readonly name: string;
  readonly vsock: string;
  readonly secretsDir?: string;
  readonly audit?: string;
}

const DEFAULT_SECRETS_DIR = './.secrets';

const EXAMPLES = `
PATH is the VM's VSOCK socket, as Firecracker, Cloud Hypervisor and vhost-device-vsock have it: the
guest's connections to port P arrive at PATH_P. Without --url the command serves the VM until
Ctrl+C, from --secrets-dir. With --url or SLICER_URL it hands the VM to that daemon and returns;
slicer vm delete NAME takes it back, and leaves the VM running.

Examples:
  $ slicer attach --name=db --vsock=/srv/fc/db.vsock --secret=db-password
  $ slicer attach --name=db --vsock=/srv/fc/db.vsock --secret=db-password --url=./slicer.sock`;

export function configure(command: Command, context: Context): void {
  command
    .requiredOption('--name <name>', "the VM's name")
    .requiredOption('--vsock <path>', "the VM's VSOCK socket");
  const grant = addGrantOptions(command, 'all');
  command.option('--secrets-dir <path>', `the store, without a daemon (default: ${DEFAULT_SECRETS_DIR})`);
  command.option('--audit <path>', 'put on record what the VM is granted, reads and is refused, in this file, without a daemon');
  addConnectionOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async ({ name, vsock, secretsDir, audit }: Flags) => {
      if (!HOSTNAME.test(name)) throw fail('usage', `--name must be ${HOSTNAME_RULE}`);
      const names = grant();
      const vsockPath = resolve(vsock);
      if (!hasUrl(command, context)) return serve(context, { hostname: name, vsockPath, names, secretsDir: secretsDir ?? DEFAULT_SECRETS_DIR, audit });
      if (secretsDir !== undefined) throw fail('usage', '--secrets-dir is for serving without a daemon: it excludes --url');
      if (audit !== undefined) throw fail('usage', '--audit is for serving without a daemon, which has a log of its own: it excludes --url');
      await clientFor(command, context).attachNode({
        hostname: name,
        vsock: vsockPath,
        ...(names === undefined ? {} : { secrets: names }),
      });
      say(context, `vm ${name} attached`);
    });
}

interface Served {
  readonly hostname: string;
  readonly vsockPath: string;
  readonly names: SecretName[] | undefined;
  readonly secretsDir: string;
  /** Where what happens is put on record. */
  readonly audit: string | undefined;
}

async function serve(context: Context, { hostname, vsockPath, names, secretsDir, audit: auditPath }: Served): Promise<void> {
  if (!existsSync(secretsDir)) {
    throw fail('not_found', `there is no store at "${secretsDir}"`, `mkdir -m 700 ${secretsDir}`);
  }
  await keepProcessPrivate(context.env['PATH'] ?? '');
  const audit = auditPath === undefined ? undefined : new ForegroundAudit(resolve(auditPath), (fact) => warn(context, fact));
  const store = await openStore(secretsDir);
  try {
    for (const name of names ?? []) {
      if (!store.snapshot().secrets.has(name)) throw fail('secret_not_found', `there is no secret "${name}" in "${secretsDir}"`, `ls ${secretsDir}`);
    }
    const start = (): Promise<LiveVm> => startLiveVm(
      store,
      { hostname, vsockPath, grant: names ?? 'all' },
      {
        log: { info: () => {}, warn: (_fields, message) => warn(context, `vm ${hostname}: ${message}`) },
        nowMs: Date.now,
        randomHex,
        archives: new Archives(),
        limits: LIVE_LIMITS,
        ...(audit === undefined ? {} : { witness: audit.witness }),
      },
    );
    const vm = await (audit === undefined ? start() : audit.grant({ vm: hostname, grant: names ?? 'all', boot: [], live: [] }, start));
    // Whoever reads the next line may say Ctrl+C at once.
    const stopped = interrupted();
    say(context, `serving vm ${hostname} until Ctrl+C${existsSync(vsockPath) ? '' : `; ${vsockPath} is not there yet`}`);
    const stop = tell(context, hostname, vm, store);
    await stopped;
    stop();
    await vm.close();
  } finally {
    await store.close();
    await audit?.close(hostname);
  }
}

/** Says how many secrets are in the guest, whenever that changes. */
function tell(context: Context, hostname: string, vm: LiveVm, store: Store): () => void {
  let said = '';
  const onChange = (): void => {
    const { synced, deliveries } = vm.status();
    const current = deliveries.filter(({ state }) => state === 'current').length;
    const state = `${current} of ${deliveries.length} secrets`;
    if (!synced || state === said) return;
    said = state;
    say(context, `vm ${hostname} holds ${state}`);
  };
  const ends = [vm.onStatus(onChange), store.onChange(onChange)];
  return () => ends.forEach((end) => end());
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
