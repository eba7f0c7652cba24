// A VSOCK device that keeps from the guest that the host's end of its connections is gone, or what the host sent, as
// vhost-device-vsock 0.3.0 may: between the agent and its host stands a relay that does the same.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Archives } from '../../src/live/archives.ts';
import type { LiveVm } from '../../src/live/contract.ts';
import { randomHex } from '../../src/live/dependencies.ts';
import { LIVE_LIMITS } from '../../src/live/limits.ts';
import { startLiveVm } from '../../src/live/live-vm.ts';
import type { Store } from '../../src/store/contract.ts';
import { openStore } from '../../src/store/store.ts';
import { HOST_PORT } from '../../src/wire/ports.ts';
import { LIMIT_MS } from '../vm/patience.ts';
import { AGENT, name, rootOnly, value } from './guest-fixture.ts';

/** Longer than what passes of an answer that is cut short. */
const LONG = 300_000;
const PASSES = 10_000;

for (const [what, isCut] of [['a poll is held', false], ['an answer is half there', true]] as const) {
  test(`an agent that is not told of its daemon's end while ${what} is found by the next daemon`, async (context) => {
    const { scratch, store, relay, serve } = await lossyLab(context);
    const first = await serve();
    await store.create(name('a'), value('old'), rootOnly);
    await first.whenHolds(store.snapshot().counter, AbortSignal.timeout(LIMIT_MS));
    relay.lose(isCut ? PASSES : undefined);
    if (isCut) {
      await store.update(name('a'), { value: value('x'.repeat(LONG)) });
      await relay.isCut;
    }
    await first.close();
    relay.recover();
    await store.update(name('a'), { value: value('new') });
    const last = await serve();
    await last.whenHolds(store.snapshot().counter, AbortSignal.timeout(LIMIT_MS));
    assert.equal(readFileSync(join(scratch, 'guest/secrets/a'), 'utf8'), 'new');
  });
}

test('an agent that an answer was lost to is dialled within seconds, and gets it', async (context) => {
  const { scratch, store, relay, serve } = await lossyLab(context);
  const vm = await serve();
  await store.create(name('a'), value('old'), rootOnly);
  await vm.whenHolds(store.snapshot().counter, AbortSignal.timeout(LIMIT_MS));
  relay.lose(0);
  await store.update(name('a'), { value: value('new') });
  await relay.isCut;
  relay.recover();
  await vm.whenHolds(store.snapshot().counter, AbortSignal.timeout(LIMIT_MS));
  assert.equal(readFileSync(join(scratch, 'guest/secrets/a'), 'utf8'), 'new');
  assert.ok(vm.summary().connected);
});

test('an agent whose poll was lost on its way, or ended without a word to it, is dialled within seconds, and polls anew', async (context) => {
  const { scratch, store, relay, serve } = await lossyLab(context);
  const vm = await serve();
  await store.create(name('a'), value('old'), rootOnly);
  await vm.whenHolds(store.snapshot().counter, AbortSignal.timeout(LIMIT_MS));
  relay.loseRequests();
  // The next poll is the one that gets lost.
  await store.update(name('a'), { value: value('newer') });
  await relay.isCut;
  relay.recover();
  await store.update(name('a'), { value: value('newest') });
  await vm.whenHolds(store.snapshot().counter, AbortSignal.timeout(LIMIT_MS));
  assert.equal(readFileSync(join(scratch, 'guest/secrets/a'), 'utf8'), 'newest');
});

interface Lab {
  readonly scratch: string;
  readonly store: Store;
  readonly relay: Relay;
  /** A daemon, for the one agent there is. */
  readonly serve: () => Promise<LiveVm>;
}

async function lossyLab(context: TestContext): Promise<Lab> {
  const scratch = mkdtempSync('/dev/shm/slicer-lost-');
  const store = await openStore(join(scratch, 'store'));
  const [hostPath, agentPath] = [join(scratch, 'host'), join(scratch, 'agent')];
  symlinkSync(agentPath, hostPath);
  const relay = await losingRelay(context, `${agentPath}_${HOST_PORT}`, `${hostPath}_${HOST_PORT}`);
  const agent = spawn(AGENT, ['run', '--socket', agentPath, '--dir', join(scratch, 'guest/secrets'), '--credstore', join(scratch, 'guest/credstore')], { stdio: 'ignore' });
  const ended = once(agent, 'exit');
  let last: LiveVm | undefined;
  context.after(async () => {
    agent.kill('SIGKILL');
    await ended;
    await last?.close();
    await store.close();
    rmSync(scratch, { recursive: true });
  });
  const serve = async (): Promise<LiveVm> => (last = await startLiveVm(store, { hostname: 'web-1', vsockPath: hostPath, grant: 'all' }, {
    log: { info: () => undefined, warn: () => undefined }, nowMs: Date.now, randomHex, archives: new Archives(), limits: { ...LIVE_LIMITS, silenceMs: 500 },
  }));
  return { scratch, store, relay, serve };
}

interface Relay {
  /** From now on nothing tells the agent that the host ends a connection; of what the host sends only so much passes. */
  lose(passes: number | undefined): void;
  /** From now on nothing of what the agent sends passes either. */
  loseRequests(): void;
  /** Connections that are made from now on are as they should be; the others stay as they are. */
  recover(): void;
  /** Resolves when something did not pass. */
  readonly isCut: Promise<void>;
}

async function losingRelay(context: TestContext, from: string, to: string): Promise<Relay> {
  const sockets = new Set<Socket>();
  let mode: { left: number } | undefined;
  let cut: () => void;
  const isCut = new Promise<void>((resolve) => (cut = resolve));
  const deaf = new Set<Socket>();
  const lost = new Map<Socket, { left: number }>();
  const relay: Server = createServer((agent) => {
    const host = connect(to);
    for (const socket of [agent, host]) sockets.add(socket.on('error', () => undefined));
    if (mode !== undefined) lost.set(host, mode);
    agent.on('data', (chunk) => {
      if (!deaf.has(host)) return void host.write(chunk);
      cut();
    }).on('close', () => host.destroy());
    host.on('data', (chunk: Buffer) => {
      const limit = lost.get(host);
      const passing = limit === undefined ? chunk : chunk.subarray(0, Math.max(0, limit.left));
      if (limit !== undefined) limit.left -= chunk.length;
      if (passing.length > 0) agent.write(passing);
      if (passing.length < chunk.length) cut();
    }).on('close', () => {
      if (!lost.has(host)) agent.destroy();
    });
    lostFrom.push(host);
  }).listen(from);
  const lostFrom: Socket[] = [];
  await once(relay, 'listening');
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  return {
    lose: (passes) => {
      mode = { left: passes ?? Number.POSITIVE_INFINITY };
      for (const host of lostFrom) lost.set(host, mode);
    },
    loseRequests: () => {
      for (const host of lostFrom) deaf.add(host);
    },
    recover: () => {
      mode = undefined;
    },
    isCut,
  };
}
