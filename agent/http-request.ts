// On the host: one HTTP request with descriptors attached, which Node can't send. Cloud Hypervisor takes the
// tap devices of `vm.add-net` so. The request is whole, from stdin; the response goes to stdout as it came.
import * as os from 'os';
import * as sys from 'sys';
import { MessageReader } from '../src/wire/http.ts';
import { Connection } from './connection.ts';
import { Fault } from './fault.ts';
import { joinedBytes } from './text.ts';

const REQUEST_MAX_BYTES = 64 * 1024;
const RESPONSE_MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 30_000;
const FIRST_DESCRIPTOR = 3;

/** Resolves when the response is printed. Throws a `Fault`; nothing is printed of half a response. */
export function sendHttpRequest(socketPath: string, count: number): Promise<void> {
  const request = readRequest();
  return new Promise((resolve, reject) => {
    const received: Uint8Array[] = [];
    let receivedBytes = 0;
    const fd = sys.unixConnect(socketPath);
    const timer = os.setTimeout(() => connection.close(new Fault('timeout', `no response within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
    let ended = false;
    const reader = new MessageReader({
      onHead: () => undefined,
      onBody: () => undefined,
      onEnd: () => {
        ended = true;
      },
    }, sys.latin1);
    const connection: Connection = new Connection(fd, false, {
      onData: (chunk) => {
        receivedBytes += chunk.byteLength;
        if (receivedBytes > RESPONSE_MAX_BYTES) throw new Fault('protocol', `expected a response of at most ${RESPONSE_MAX_BYTES} bytes`);
        received.push(chunk.slice());
        reader.push(chunk);
        if (ended) connection.close();
      },
      onClose: (fault) => {
        os.clearTimeout(timer);
        if (!ended) return reject(fault);
        const response = joinedBytes(received);
        for (let sent = 0; sent < response.byteLength;) sent += Math.max(0, sys.write(1, response, sent, response.byteLength));
        resolve();
      },
    });
    const descriptors = Array.from({ length: count }, (_, index) => FIRST_DESCRIPTOR + index);
    const sent = sys.sendDescriptors(fd, request, descriptors);
    if (sent < 0) throw new Fault('EAGAIN', `${socketPath} takes no request`);
    connection.write(request.subarray(sent));
  });
}

function readRequest(): Uint8Array {
  const request = new Uint8Array(REQUEST_MAX_BYTES + 1);
  let length = 0;
  for (let count = -1; count !== 0; ) {
    count = sys.read(0, request.subarray(length));
    if (count > 0) length += count;
    if (length > REQUEST_MAX_BYTES) throw new Fault('usage', `expected a request of at most ${REQUEST_MAX_BYTES} bytes on stdin`);
  }
  if (length === 0) throw new Fault('usage', 'expected an HTTP request on stdin');
  return request.subarray(0, length);
}
