// What the host is held against: a bare node:http server that sends the same bytes on as many sockets to the
// same agents. It makes their sessions as the host does, since they take nothing without one, and then knows
// of nothing: no keys, no limits, no generations but a number.
//
//   node bare-server.ts SOCKETS, and lines on stdin:
//     listen FIRST COUNT  listens for that many VMs from FIRST on, and says `done`
//     open FIRST COUNT    makes sessions with their agents, and says `done`
//     send FILE           answers every held poll with the bytes of FILE, and says `sent NANOSECONDS` when it begins
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createListener } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentConnection } from '../../src/live/agent-connection.ts';
import { AgentSockets } from '../../src/live/agent-sockets.ts';
import { randomHex } from '../../src/live/dependencies.ts';
import { offerSession } from '../../src/live/handshake.ts';

const sockets = process.argv[2] as string;
const held: ServerResponse[] = [];
let generation = 0;

const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
  if (request.method === 'POST') {
    request.resume();
    response.writeHead(request.url === '/v1/hello' ? 202 : 204).end();
  } else {
    held.push(response);
  }
});

const steps: Readonly<Record<string, (path: string) => unknown>> = {
  listen: (path) => createListener((socket) => server.emit('connection', socket)).listen(`${path}_901`),
  open,
};

for await (const line of createInterface(process.stdin)) {
  const [word = '', argument = '', count = '0'] = line.split(' ');
  const step = steps[word];
  if (step !== undefined) {
    for (let number = Number(argument); number < Number(argument) + Number(count); number += 1) await step(`${sockets}/${number}`);
    console.log('done');
  } else {
    const body = readFileSync(argument);
    generation += 1;
    console.log(`sent ${process.hrtime.bigint()}`);
    for (const response of held.splice(0)) {
      const base = response.req.headers['if-none-match'];
      response.sendDate = false;
      response.writeHead(base === undefined ? 200 : 226, {
        'Content-Type': 'application/x-tar', 'Cache-Control': 'no-store', ETag: `"bbbbbbbbbbbbbbbb.${generation}"`,
        ...(base === undefined ? {} : { IM: 'slicer-tar', 'Delta-Base': base }), 'Content-Length': body.byteLength,
      });
      response.end(body);
    }
  }
}
process.exit();

/** An agent that has only just started takes a session a moment later. */
async function open(path: string): Promise<void> {
  const { signal } = new AbortController();
  for (;;) {
    try {
      const connection = await AgentConnection.dial(new AgentSockets(path, { size: 0, closeAll: () => {} }), signal);
      const isOpen = await offerSession(connection, '', randomHex, () => {}, signal);
      connection.close();
      if (isOpen) return;
    } catch {
      // It does not listen yet.
    }
    await delay(10);
  }
}
