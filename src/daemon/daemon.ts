// The daemon: store, VMs, live channels and API put together, and taken apart again in the opposite order.
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { VERSION } from '../api/version.ts';
import type { Config } from '../config/config.ts';
import { fail } from '../errors/slicer-error.ts';
import { Archives } from '../live/archives.ts';
import { randomHex } from '../live/dependencies.ts';
import { LIVE_LIMITS, type LiveLimits } from '../live/limits.ts';
import { openStore } from '../store/store.ts';
import { makePrivate } from '../vm/private-directory.ts';
import { attachAuditRoute } from './audit-route.ts';
import { Auditor } from './auditor.ts';
import { attachExecRoute } from './exec-route.ts';
import { startGroupVms } from './group-vms.ts';
import { attachHostRoutes } from './host-routes.ts';
import { isOfInventory } from './inventory-group.ts';
import { InventoryVms, type DaemonInventory } from './inventory-vms.ts';
import { openListeners, type Listeners } from './listeners.ts';
import { LATE_CONSOLE } from './late-console.ts';
import { LiveVms } from './live-vms.ts';
import { takeLock } from './lock.ts';
import type { Log } from './log.ts';
import { thisMachine, type Machine } from './machine.ts';
import { attachMetricsRoute } from './metrics.ts';
import { attachNodeRoutes } from './node-routes.ts';
import { createRouter } from './router.ts';
import { attachSecretRoutes } from './secret-routes.ts';
import { loadTokens } from './token.ts';
import { attachVmRoutes } from './vm-routes.ts';

export interface DaemonOptions {
  /** The daemon's directory: VMs' records and logs are in `.slicer` below it. */
  readonly directory: string;
  /** Whether VMs run on when the daemon stops. */
  readonly keepVms: boolean;
  readonly log: Log;
  /** VMs that are started besides those of the configuration. */
  readonly inventory?: DaemonInventory;
  readonly machine?: Machine;
  readonly liveLimits?: LiveLimits;
}

export interface Daemon {
  /** Where the API is, as `--url` takes it. */
  readonly urls: readonly string[];
  /** Stops VMs unless they are kept, ends requests, and resolves when nothing of it is left. */
  stop(): Promise<void>;
  /** Resolves when the daemon has stopped, rejects when it could not stop all it started. */
  readonly done: Promise<void>;
}

const NO_INVENTORY: DaemonInventory = { vms: [], env: {}, uid: 0 };

/** How long requests under way have for their last word when the daemon stops. */
const LAST_ANSWERS_MS = 2_000;

/**
 * Starts the daemon; resolves when the API answers and running VMs are adopted. The VMs that the
 * configuration asks for are started after that. Throws already_running, store_not_private,
 * invalid_config, no_memory_file_system; nothing is left of a start that failed, and VMs run on.
 */
export async function startDaemon(config: Config, options: DaemonOptions): Promise<Daemon> {
  const { log, machine = thisMachine, liveLimits: limits = LIVE_LIMITS } = options;
  const instances = new InventoryVms(options.inventory ?? NO_INVENTORY);
  // Whatever this process makes is its own, whoever called it.
  process.umask(0o077);
  const directory = await realpath(options.directory);
  const closing = new AbortController();
  let keepVms = true;
  let listeners: Listeners | undefined;
  let lastAnswers: Promise<void> | undefined;
  let live: LiveVms | undefined;
  let starting: Promise<void> | undefined;

  /** What takes apart what stands, in the order in which it was put up. */
  const undo: (() => Promise<void>)[] = [];
  const takeApart = async (): Promise<void> => {
    const problems: unknown[] = [];
    for (const step of undo.splice(0).reverse()) await step().catch((error: unknown) => problems.push(error));
    if (problems.length > 0) throw problems[0];
  };

  try {
    undo.push(await claim(join(directory, '.slicer')));
    const audit = new Auditor(config.audit, log);
    undo.push(() => audit.close());
    await audit.daemon('start');
    const store = await openStore(config.secretsDir, {
      knownFilesPath: join(directory, '.slicer', 'known-files'), onChangedBefore: (change) => audit.changedBefore(change),
    });
    undo.push(() => store.close());
    store.onOutsideChange((change) => audit.changedByHand(change));
    const tokens = await loadTokens(config.api);

    undo.push(async () => {
      await Promise.race([lastAnswers, delay(LAST_ANSWERS_MS, undefined, { ref: false })]);
      listeners?.end();
      await lastAnswers;
    });
    // A VM on its way out is served as long as it runs.
    undo.push(async () => live?.endAll());
    const vms = await machine.openVms(directory, log);
    undo.push(async () => {
      await (keepVms ? vms.closeKeepingVms() : vms.stopAll());
      await starting;
    });
    live = new LiveVms((vm) => (isOfInventory(vm) ? instances.sourceOf(vm) : store), vms, log,
      { log, nowMs: Date.now, randomHex, archives: new Archives(), limits, witness: audit.witness });
    await live.adopt();

    const router = createRouter(log, () => closing.signal.aborted, (...refusal) => audit.refused(...refusal));
    const parts = { store, vms, live, machine, audit, lateConsole: join(directory, LATE_CONSOLE) };
    attachHostRoutes(router);
    attachSecretRoutes(router.attach, store, live, audit);
    attachNodeRoutes(router.attach, config.hostGroups, parts);
    attachVmRoutes(router.attach, vms, live);
    attachMetricsRoute(router.attach, parts);
    attachAuditRoute(router.attach, audit.log, closing.signal, log);
    attachExecRoute(router.attach, vms, live, audit);
    undo.push(async () => {
      closing.abort();
      lastAnswers = listeners?.close();
    });
    listeners = await openListeners(router, config.api, tokens);
    starting = startGroupVms(parts, config.hostGroups, log, closing.signal)
      .then(() => instances.startAll(parts, log, closing.signal));
  } catch (error) {
    await takeApart().catch(() => undefined);
    throw error;
  }

  keepVms = options.keepVms;
  log.info({ urls: listeners.urls, version: VERSION }, 'slicer is up');
  let stopping: Promise<void> | undefined;
  let settle: (stopped: Promise<void>) => void;
  const done = new Promise<void>((resolve) => (settle = resolve));
  return {
    urls: listeners.urls,
    done,
    stop() {
      if (stopping === undefined) {
        log.info({}, keepVms ? 'stopping; VMs run on' : 'stopping, and all VMs');
        stopping = takeApart();
        settle(stopping);
      }
      return stopping;
    },
  };
}

/** Makes the directory of records if it is absent, and takes its lock. Throws store_not_private, already_running, forbidden. */
async function claim(records: string): Promise<() => Promise<void>> {
  try {
    await makePrivate(records, (process.geteuid as () => number)());
    return await takeLock(join(records, 'daemon.lock'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error;
    throw fail('forbidden', `this user may not write to ${records} (${code})`, 'run it as root, or in a directory of yours');
  }
}
