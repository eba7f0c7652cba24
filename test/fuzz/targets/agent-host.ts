// The agent's reading of the host's answers, over connections and directories in memory.
import assert from 'node:assert/strict';
import { parseEtag } from '../../../src/wire/generation.ts';
import { isCredentialName } from '../../../src/wire/credential-name.ts';
import { isFault, load } from '../agent-modules.ts';
import { isSecretName, placesInMemory, type Places } from '../agent-places.ts';
import type { Target } from '../engine.ts';
import { pieces } from '../expectations.ts';
import * as os from '../quickjs/os.ts';
import * as sys from '../quickjs/sys.ts';
import { TAR_CORPUS } from './wire.ts';

interface HostClient {
  request(request: { method: string; target: string }): Promise<{ status: number; body: Uint8Array }>;
  close(): void;
}

interface Sync {
  readonly generation: string | undefined;
  poll(host: HostClient): Promise<object>;
  now(host: HostClient): Promise<object>;
  standing(host: HostClient): Promise<string>;
  report(host: HostClient, fault: unknown): Promise<void>;
}

const { HostClient } = await load<{ HostClient: new (dial: () => number, silenceMaxMs: number) => HostClient }>('host-client');
const { Sync } = await load<{ Sync: new (places: Places, session: object) => Sync }>('sync');

const ETAG = 'ETag: "0123456789abcdef.7"';
const answer = (status: string, body: Uint8Array | string, ...headers: string[]): Buffer =>
  Buffer.concat([Buffer.from([`HTTP/1.1 ${status}`, `Content-Length: ${body.length}`, ...headers, '', ''].join('\r\n')), Buffer.from(body as string)]);
const [changes, one, credential, two] = TAR_CORPUS as [Buffer, Buffer, Buffer, Buffer];
const HELD = answer('200 OK', two, ETAG);
const DELTA = ['ETag: "0123456789abcdef.8"', 'IM: slicer-tar', 'Delta-Base: "0123456789abcdef.7"'];

const USERDATA_MAX_BYTES = 256 * 1024;
const SESSION = { authorization: () => ({ Authorization: 'Bearer x' }) };
const isName = [isSecretName, isCredentialName] as const;

/** What became of it: the result, or the fault. */
async function outcomeOf<T>(work: Promise<T>): Promise<T | undefined> {
  const settled = work.catch((error: unknown) => {
    assert.ok(isFault(error), String((error as Error).stack));
    return undefined;
  });
  for (let turn = 0; turn < 3; turn += 1) await os.readOn();
  const unsettled = {};
  const result = await Promise.race([settled, Promise.resolve(unsettled)]);
  assert.notEqual(result, unsettled, 'a request that never ends');
  return result as T | undefined;
}

const syncs: Target = {
  name: 'agent-sync',
  of: 'agent/host-client.ts, sync.ts: the host\'s answers to the agent\'s requests',
  corpus: [
    ...[one, two].map((archive) => answer('200 OK', archive, ETAG)), ...[changes, credential, two].map((archive) => answer('226 IM Used', archive, ...DELTA)),
    answer('304 Not Modified', '', ETAG), answer('401 Unauthorized', '{"error":"x","code":"unauthorized"}'), answer('429 Too Many Requests', '', 'Retry-After: 1'), answer('204 No Content', ''), answer('202 Accepted', ''),
  ],
  words: ['ETag: ', '"0123456789abcdef.9"', 'Content-Length: 0\r\n', 'Content-Length: 999999\r\n', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.1 101 x', 'Transfer-Encoding: chunked\r\n', '\r\n\r\n', '.wh.', '.cred.', '../'],
  maxBytes: 8192,
  check: async (input, random) => {
    const open = sys.openCount();
    const places = placesInMemory();
    const sync = new Sync(places, SESSION);
    const client = new HostClient(() => sys.unixConnect(), 60_000);
    if (random.once(2)) {
      sys.answerWith([HELD]).isHeld = true;
      assert.ok(await outcomeOf(sync.poll(client)) !== undefined);
      client.close();
    }
    const contents = (): unknown => places.opened.map(({ directory }) => sys.contents(directory.fd));
    const held = sync.generation;
    const before = contents();
    const host = sys.answerWith(pieces(random, input));
    host.isHeld = random.once(2);
    const kind = random.below(6);
    const work = kind === 0 ? sync.now(client) : kind === 1 ? sync.standing(client) : kind === 2 ? sync.report(client, { code: 'EIO', message: 'x' })
      : kind === 3 ? client.request({ method: 'POST', target: '/v1/userdata' }) : sync.poll(client);
    // Of an answer that stays away the rest of the guest hears when its time is over.
    if (host.isHeld) setImmediate(() => setImmediate(() => setImmediate(() => client.close())));
    const result = await outcomeOf(work as Promise<object>);
    if (sync.generation !== held) assert.ok(parseEtag(sync.generation ?? '') !== undefined && result !== undefined, `generation ${sync.generation}`);
    if (result === undefined || (kind !== 0 && kind < 4)) {
      assert.equal(sync.generation, held);
      // It may have opened the place of credentials.
      if (places.opened.length === (before as unknown[]).length) assert.deepEqual(contents(), before, 'a refused answer changed something');
    }
    if (kind === 3 && result !== undefined) assert.ok((result as { body: Uint8Array }).body.byteLength <= Math.min(input.length, USERDATA_MAX_BYTES));
    places.opened.forEach(({ directory }, index) => {
      for (const [name] of sys.contents(directory.fd)) assert.ok(isName[index]?.(name), name);
      assert.deepEqual(sys.contents(directory.stagingFd), [], 'left in staging');
    });
    client.close();
    await os.readOn();
    assert.equal(sys.openCount(), open, 'descriptors are left open');
    assert.deepEqual(sys.takeFindings(), []);
    sys.forget();
  },
};

export const agentHostTargets: readonly Target[] = [syncs];
