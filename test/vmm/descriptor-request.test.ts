// The agent that sends descriptors is real where it is built; what it does when it can't is a script. Who gets
// the descriptors is shown where Cloud Hypervisor is real, and by the agent's own tests.
import assert from 'node:assert/strict';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test, type TestContext } from 'node:test';
import { findAgent } from '../../image/agent.ts';
import { HOST_ARCH } from '../../image/compiler.ts';
import { putWithDescriptors } from '../../src/vmm/descriptor-request.ts';

const forever = new AbortController().signal;
let directory: string;
let descriptor: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slicer-descriptors-'));
  descriptor = openSync('/dev/null', 'r+');
});
afterEach(() => {
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
});

const agent = ((): string | undefined => {
  try {
    return findAgent(HOST_ARCH);
  } catch {
    return undefined;
  }
})();
const skip = agent === undefined && 'the agent is not built: npm run build';

function serve(t: TestContext, status: number, body: string): { readonly path: string; readonly requests: string[] } {
  const requests: string[] = [];
  const path = join(directory, 'api.sock');
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    requests.push(`${request.method} ${request.url} ${text}`);
    response.writeHead(status, body === '' ? {} : { 'Content-Length': Buffer.byteLength(body) }).end(body);
  }).listen(path);
  t.after(() => server.close());
  return { path, requests };
}

test('a request is made through the agent, with an answer that has no body', { skip }, async (t) => {
  const { path, requests } = serve(t, 204, '');
  await putWithDescriptors(agent!, { control: path }, '/api/v1/vm.add-net', { mac: '02:00:00:00:00:01' }, [descriptor, descriptor], forever);
  assert.deepEqual(requests, ['PUT /api/v1/vm.add-net {"mac":"02:00:00:00:00:01"}']);
});

test('a refusal is told as that of any other request', { skip }, async (t) => {
  const { path } = serve(t, 500, '["Error from API","The network device could not be added to the VM"]');
  await assert.rejects(putWithDescriptors(agent!, { control: path }, '/x', {}, [descriptor], forever), {
    code: 'launch_failed',
    message: 'the VMM answered PUT /x with status 500: ["Error from API","The network device could not be added to the VM"]',
  });
});

test('a VMM that is not there is the agent\'s failure', { skip }, async () => {
  await assert.rejects(putWithDescriptors(agent!, { control: join(directory, 'none.sock') }, '/x', {}, [descriptor], forever), {
    code: 'launch_failed', message: /^the agent could not pass descriptors to the VMM: it ended with exit code [1-9]/,
  });
});

function script(text: string): string {
  const path = join(directory, 'agent');
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

test('it is given the request whole, and one descriptor for each', async () => {
  // Its standard error is no place for an answer.
  const program = script(`[ -e /proc/self/fd/4 ] && ! [ -e /proc/self/fd/5 ] && [ "$*" = "http-fds --socket /a.sock --count 2" ] || exit 9
cat > ${directory}/request; echo noise >&2; printf 'HTTP/1.1 204 \\r\\nServer: Cloud Hypervisor API\\r\\nConnection: keep-alive\\r\\n\\r\\n'`);
  await putWithDescriptors(program, { control: '/a.sock' }, '/x', { a: 1 }, [descriptor, descriptor], forever);
  assert.equal(readFileSync(join(directory, 'request'), 'latin1'), [
    'PUT /x HTTP/1.1', 'Host: localhost', 'Accept: application/json', 'Content-Type: application/json', 'Content-Length: 7',
    'Connection: close', '', '{"a":1}',
  ].join('\r\n'));
});

for (const [what, text, message] of [
  ['half a head', 'printf "HTTP/1.1 204 \\r\\nServer: x"', 'the VMM\'s answer to PUT /x is no HTTP'],
  ['nothing', 'cat > /dev/null', 'the VMM\'s answer to PUT /x is no HTTP'],
  ['a failure', 'exit 3', 'the agent could not pass descriptors to the VMM: it ended with exit code 3'],
  ['no end', 'exec cat /dev/zero', 'the agent could not pass descriptors to the VMM: it ended with exit code null'],
] as const) {
  test(`an agent that answers with ${what} is an error`, async () => {
    await assert.rejects(putWithDescriptors(script(text), { control: '/a.sock' }, '/x', {}, [descriptor], forever), { code: 'launch_failed', message });
  });
}

test('an agent that is not there is an error', async () => {
  await assert.rejects(putWithDescriptors('/not/there', { control: '/a.sock' }, '/x', {}, [descriptor], forever), {
    code: 'launch_failed', message: '/not/there could not be started: ENOENT',
  });
});

test('an agent that hangs is waited for until the signal says otherwise', async () => {
  const abort = new AbortController();
  const asked = putWithDescriptors(script('exec sleep 1000'), { control: '/a.sock' }, '/x', {}, [descriptor], abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(asked, { message: 'enough' });
});
