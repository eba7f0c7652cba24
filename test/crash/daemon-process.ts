// The daemon as a process that strace can look into, and one change of it through its API.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { request } from 'node:http';
import { fromErrorBody } from '../../src/api/error-body.ts';
import { eventually } from '../vm/patience.ts';
import { ROOT } from '../vm/parts.ts';
import type { Outcome, Refusal } from './operation.ts';
import { STORE_OPERATIONS, NAME, NEW, OWNED } from './store-operations.ts';
import { injecting, ONE_WORKER, recordCalls, touches, type Call } from './strace.ts';

const data = Buffer.from(NEW).toString('base64');
const attributes = { permissions: '0640', uid: OWNED.uid, gid: OWNED.gid };

/** By the name of the same change of the store alone. */
export const REQUESTS: Readonly<Record<string, readonly [method: string, path: string, body?: object]>> = {
  'create a secret': ['POST', '/secrets', { name: NAME, data, ...attributes }],
  'replace a value': ['PATCH', `/secrets/${NAME}`, { data }],
  'change mode and owner alone': ['PATCH', `/secrets/${NAME}`, attributes],
  'remove a secret': ['DELETE', `/secrets/${NAME}`],
};

/** What the daemon does from a request to its answer: the calls that touch the store, and that of the answer. */
export const daemonCallsOf = (title: string): Promise<Call[]> => withDaemon(title, async (daemon) => {
  const calls = await recordCalls(daemon.pid, async () => {
    const { outcome, problem } = await daemon.change();
    if (outcome !== 'made') throw new Error(`${title}: ${problem?.message}`);
  });
  return calls.filter((call) => touches(call, daemon.store) || isAnswer(call));
});

export const isAnswer = ({ name, text: line }: Call): boolean => /^write/.test(name) && line.includes('HTTP/1.1 2');

/** Strikes the daemon, and checks what the next one and its store have. Resolves with whether the call came. */
export const strikeDaemon = (title: string, call: Call, fault: string): Promise<{ struck: boolean; outcome: Outcome; problem: Refusal | undefined }> =>
  withDaemon(title, async (daemon) => {
    let said: { outcome: Outcome; problem: Refusal | undefined } = { outcome: 'unknown', problem: undefined };
    const line = await injecting(daemon.pid, { call, fault }, async () => {
      said = await daemon.change();
    });
    await daemon.kill();
    await daemon.startAgain();
    await daemon.kill();
    await STORE_OPERATIONS[title]?.check(daemon.store, said.problem?.message.includes('is made, but') ? 'unknown' : said.outcome);
    return { struck: line !== undefined, ...said };
  });

interface Daemon {
  readonly pid: number;
  readonly store: string;
  change(): Promise<{ outcome: Outcome; problem: Refusal | undefined }>;
  kill(): Promise<unknown>;
  startAgain(): Promise<void>;
}

async function withDaemon<T>(title: string, use: (daemon: Daemon) => Promise<T>): Promise<T> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'slicer-struck-')));
  const store = join(directory, '.secrets');
  const socketPath = join(directory, 'slicer.sock');
  writeFileSync(join(directory, 'slicer.yaml'), 'config:\n  api:\n    bind_address: ./slicer.sock\n  host_groups:\n    - name: vm\n      count: 0\n      vcpu: 1\n      ram_mb: 192\n      image: tiny\n');
  await STORE_OPERATIONS[title]?.prepare(store);
  const call = (method: string, path: string, body?: object): Promise<{ status: number; body: any }> => new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false }, (incoming) => {
      text(incoming).then((answer) => resolve({ status: incoming.statusCode as number, body: JSON.parse(answer || 'null') }), reject);
    });
    outgoing.once('error', reject);
    if (body !== undefined) outgoing.setHeader('content-type', 'application/json');
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
  let output = '';
  const start = async () => {
    const child = spawn(process.execPath, [join(ROOT, 'bin/slicer'), 'up'], { cwd: directory, env: { ...process.env, ...ONE_WORKER }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { output += chunk; });
    const ended = once(child, 'close');
    await eventually(() => `the daemon answers: ${output}`, () => call('GET', '/secrets').then(({ status }) => status === 200, () => false));
    return { child, ended };
  };
  let running = await start();
  try {
    return await use({
      get pid() { return running.child.pid as number; },
      store,
      change: async () => {
        const [method, path, body] = REQUESTS[title] as readonly [string, string, object?];
        const answer = await call(method, path, body).catch(() => undefined);
        if (answer === undefined) return { outcome: 'unknown', problem: undefined };
        return answer.status < 300 ? { outcome: 'made', problem: undefined } : { outcome: 'refused', problem: fromErrorBody(answer.body)?.problems[0] };
      },
      kill: () => {
        running.child.kill('SIGKILL');
        return running.ended;
      },
      startAgain: async () => {
        running = await start();
      },
    });
  } finally {
    running.child.kill('SIGKILL');
    await running.ended;
    rmSync(directory, { recursive: true, force: true });
  }
}
