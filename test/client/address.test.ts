import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, isLocal, parseAddress } from '../../src/client/address.ts';
import { SlicerError } from '../../src/errors/slicer-error.ts';

const HOME = '/home/ada';

for (const [text, path] of [
  ['/run/slicer/slicer.sock', '/run/slicer/slicer.sock'],
  ['/run/slicer/api', '/run/slicer/api'],
  ['./slicer.sock', './slicer.sock'],
  ['../api', '../api'],
  ['~/slicer/api', '/home/ada/slicer/api'],
  ['slicer.sock', 'slicer.sock'],
  ['state/slicer.sock', 'state/slicer.sock'],
  ['unix:///run/api', '/run/api'],
  ['unix://./api', './api'],
  ['unix://~/api', '/home/ada/api'],
] as const) {
  test(`${text} is the socket ${path}`, () => assert.deepEqual(parseAddress(text, HOME), { kind: 'unix', path }));
}

for (const [text, formatted] of [
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
  ['127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['localhost:8080', 'http://localhost:8080'],
  ['http://[::1]:8080', 'http://[::1]:8080'],
  ['http://host', 'http://host:80'],
  ['https://host', 'https://host:443'],
  ['https://host:8443/slicer/', 'https://host:8443/slicer'],
  ['http://host.sock', 'http://host.sock:80'],
] as const) {
  test(`${text} is ${formatted}`, () => assert.equal(formatAddress(parseAddress(text, HOME)), formatted));
}

for (const text of ['', 'ftp://host', 'http://', 'http://host:99999', 'http://ada:pw@host', 'http://host?token=x', 'http://host#x', 'unix://', 'ws://host']) {
  test(`${JSON.stringify(text)} is refused without being repeated`, () => {
    assert.throws(() => parseAddress(text, HOME), (error) =>
      error instanceof SlicerError && error.code === 'usage' && (text === '' || !error.message.includes(text)));
  });
}

for (const [text, expected] of [
  ['./slicer.sock', true], ['http://127.0.0.1:1', true], ['http://127.8.9.10:1', true], ['http://[::1]:1', true], ['http://localhost:1', true],
  ['http://127.0.0.1.example.org', false], ['http://example.org', false], ['http://10.0.0.1', false], ['http://[::ffff:1]', false],
] as const) {
  test(`${text} ${expected ? 'stays on' : 'may leave'} this machine`, () => assert.equal(isLocal(parseAddress(text, HOME)), expected));
}
