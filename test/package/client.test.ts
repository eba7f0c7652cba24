// The npm package as its users have it: installed in a project of their own, checked by their compiler, run
// against a daemon.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { makeClientPackage } from '../../scripts/package/npm-client.ts';
import { packageSource } from '../../scripts/package/source.ts';
import { bench } from '../daemon/daemon.ts';
import { syncing } from '../daemon/guest-vms.ts';
import { FRAME, payload } from '../live/wire-agent.ts';
import { CHECKOUT, scratchDirectory } from './made-package.ts';

const scratch = scratchDirectory();
const project = join(scratch, 'project');
after(() => rmSync(scratch, { recursive: true }));

/** The example of the documentation, for a daemon elsewhere. */
const example = (socket: string): string => {
  const [, code] = /```js\n([^]*?)```/.exec(readFileSync(join(CHECKOUT, 'docs/client.md'), 'utf8')) ?? [];
  assert.ok(code?.includes('/run/slicer/slicer.sock'));
  return (code as string).replace('/run/slicer/slicer.sock', socket);
};

let file = '';
before(async () => {
  file = await makeClientPackage(await packageSource(CHECKOUT), scratch);
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
  writeFileSync(join(project, 'package.json'), '{"type": "module"}');
  // As npm installs what needs nothing else.
  mkdirSync(join(project, 'node_modules/slicer'));
  execFileSync('tar', ['-xzf', file, '--strip-components=1', '-C', join(project, 'node_modules/slicer')]);
  for (const name of ['@types/node', 'undici-types']) symlinkSync(join(CHECKOUT, 'node_modules', name), join(project, 'node_modules', name));
});

test('the npm package has the client, its types, and no dependencies', () => {
  const manifest = JSON.parse(readFileSync(join(project, 'node_modules/slicer/package.json'), 'utf8'));
  assert.deepEqual([manifest.dependencies, manifest.scripts, manifest.bin], [undefined, undefined, undefined]);
  const files = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }).trim().split('\n');
  for (const path of ['package/index.js', 'package/types/client/sdk.d.ts', 'package/README.md']) assert.ok(files.includes(path), path);
  assert.deepEqual(files.filter((path) => !/^package\/(index\.js|package\.json|README\.md|types\/.*\.d\.ts)$/.test(path)), []);
});

test("a user's compiler takes the example, knows the fields of what the API answers, and refuses others", () => {
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { strict: true, module: 'nodenext', target: 'es2022', noEmit: true, types: ['node'], exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
    files: ['example.ts', 'fields.ts'],
  }));
  writeFileSync(join(project, 'example.ts'), example('./slicer.sock'));
  writeFileSync(join(project, 'fields.ts'), `import { SlicerClient, type ExecEvent, type Node, type SecretInfo } from 'slicer';
const client: SlicerClient = SlicerClient.connect();
const sizes: number[] = (await client.listSecrets()).map((secret: SecretInfo) => secret.size);
const status: 'Starting' | 'Running' | 'Stopping' | 'Stopped' | 'Failed' = ({} as Node).status;
const isExit = (event: ExecEvent): boolean => event.type === 'exit' && event.exitCode === 0;
await client.launchNode('web', { credentials: [{ name: 'a', secret: 'b', deliver: 'live' }] });
// @ts-expect-error a value goes in, and never comes out
(await client.listSecrets())[0]?.data;
// @ts-expect-error no such channel
await client.launchNode('web', { credentials: [{ name: 'a', secret: 'b', deliver: 'never' }] });
export { isExit, sizes, status };
`);
  const { status, stdout } = spawnSync(join(CHECKOUT, 'node_modules/.bin/tsc'), ['-p', project], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('the example does what it says with a daemon', async (t) => {
  const { socket, vms, api } = await bench(t);
  vms.boot = (agent, ...rest) => {
    agent.runCommand = (_request, send) => {
      for (const [type, text] of [[FRAME.started, '1'], [FRAME.stdout, 'total 4\n'], [FRAME.exit, '0']] as const) send({ type, payload: payload(text) });
      return () => {};
    };
    return syncing(agent, ...rest);
  };
  writeFileSync(join(project, 'example.js'), example(socket));
  const { stdout } = await promisify(execFile)(process.execPath, [join(project, 'example.js')]);
  assert.match(stdout, /^total 4\n1 of 1 VMs hold it\n$/);
  assert.deepEqual((await api('GET', '/secrets')).body.map(({ name, uid }: { name: string; uid: number }) => [name, uid]), [['api-key', 1000]]);
});
