import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback, parseBindAddress } from '../../src/config/address.ts';
import { group, parse, problemsOf } from './config-fixture.ts';

const ADDRESSES: readonly [string, ReturnType<typeof parseBindAddress>][] = [
  ['127.0.0.1', { kind: 'ip', address: '127.0.0.1' }],
  ['127.0.0.1:', { kind: 'ip', address: '127.0.0.1' }],
  ['localhost', { kind: 'ip', address: '127.0.0.1' }],
  ['::', { kind: 'ip', address: '::' }],
  ['::1', { kind: 'ip', address: '::1' }],
  ['[::1]', { kind: 'ip', address: '::1' }],
  ['[::1]:', { kind: 'ip', address: '::1' }],
  ['/run/slicer.sock', { kind: 'socket', path: '/run/slicer.sock' }],
  ['./api', { kind: 'socket', path: './api' }],
  ['../api', { kind: 'socket', path: '../api' }],
  ['~/api', { kind: 'socket', path: '~/api' }],
  ['unix:///run/api', { kind: 'socket', path: '/run/api' }],
  ['api.sock', { kind: 'socket', path: 'api.sock' }],
  ['', undefined],
  ['unix://', undefined],
  ['example.com', undefined],
  ['127.0.0.1:8080', undefined],
  ['256.0.0.1', undefined],
  ['fe80::1%eth0', undefined],
];

test('a bind address is an IP address or the path of a socket', () => {
  for (const [text, expected] of ADDRESSES) assert.deepEqual(parseBindAddress(text), expected, text);
});

test('loopback is 127.0.0.0/8 and ::1, and nothing else', () => {
  for (const address of ['127.0.0.1', '127.255.255.254', '::1']) assert.ok(isLoopback(address), address);
  for (const address of ['0.0.0.0', '::', '128.0.0.1', '10.0.0.1', '::2', '::ffff:10.0.0.1']) assert.ok(!isLoopback(address), address);
});

const SOCKET = { path: '/srv/slicer.sock', group: undefined };
const LISTENERS: readonly [string, { tcp: unknown; unix: unknown }][] = [
  ['', { tcp: undefined, unix: SOCKET }],
  ['api:', { tcp: undefined, unix: SOCKET }],
  ['api: {auth: }', { tcp: undefined, unix: SOCKET }],
  ['api: {port: 80}', { tcp: { address: '127.0.0.1', port: 80 }, unix: undefined }],
  ['api: {bind_address: "::1"}', { tcp: { address: '::1', port: 8080 }, unix: undefined }],
  ['api: {bind_address: 0.0.0.0, port: 80}', { tcp: { address: '0.0.0.0', port: 80 }, unix: undefined }],
  ['api: {bind_address: ./slicer.sock}', { tcp: undefined, unix: SOCKET }],
  ['api: {bind_address: ./slicer.sock, port: 80}', { tcp: { address: '127.0.0.1', port: 80 }, unix: SOCKET }],
  ['api: {socket_group: ops}', { tcp: undefined, unix: { ...SOCKET, group: 'ops' } }],
];

for (const [api, expected] of LISTENERS) {
  test(`${api === '' ? 'no api section' : api} listens where it should`, () => {
    const { tcp, unix } = parse(`${group('')}  ${api}\n`).api;
    assert.deepEqual({ tcp, unix }, expected);
  });
}

const REFUSED: readonly [string, string][] = [
  ['{bind_address: example.com}', 'bind_address: expected an IP address, or the path of a socket that begins with / or ./ or ends in .sock'],
  ['{bind_address: ""}', 'bind_address: expected an address, or the path of a socket, got ""'],
  [`{bind_address: /${'x'.repeat(107)}}`, 'bind_address: expected a socket whose absolute path is at most 107 bytes, got 108'],
  ['{port: 0}', 'port: expected an integer of 1 to 65535, got 0'],
  ['{port: 80, socket_group: ops}', 'socket_group: is for a socket; the API listens on TCP alone, since bind_address is not the path of one'],
  ['{socket_group: "a b"}', 'socket_group: expected a group of this machine by name or number, got "a b"'],
  ['{bind_address: "::", auth: {enabled: false}}', 'auth.enabled: expected true, since other machines reach bind_address ::; got false'],
  ['{socket_group: -1}', 'socket_group: expected a group of this machine by name or number, got -1'],
  ['{auth: {enabled: maybe}}', 'auth.enabled: expected true or false, got "maybe"'],
];

for (const [api, message] of REFUSED) {
  test(`api: ${api.slice(0, 50)} is refused`, () => {
    const [problem, ...others] = problemsOf(`${group('')}  api: ${api}\n`);
    assert.equal(problem?.message.replace(/^slicer\.yaml:\d+:\d+: config\.api\./, ''), message);
    assert.deepEqual(others, []);
  });
}

test('without a token, TCP is allowed on loopback alone', () => {
  assert.equal(parse(`${group('')}  api: {bind_address: 127.0.0.2, auth: {enabled: false}}\n`).api.auth.enabled, false);
});
