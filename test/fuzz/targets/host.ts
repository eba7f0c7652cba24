// What stands on the host beside Slicer's own files: certificates and keys of a CA, kernels, tables of the kernel's;
// and what a client takes for an answer of the daemon's.
import assert from 'node:assert/strict';
import { payloadOf } from '../../../image/vmlinux.ts';
import * as shape from '../../../src/client/shape.ts';
import { makeCertificate, readAuthority } from '../../../src/generate/certificate.ts';
import { secretOf } from '../../../src/generate/random.ts';
import { chooseUids } from '../../../src/vm/vm-user.ts';
import { chooseAccelerator } from '../../../src/vmm/accelerator.ts';
import { hasLandlock } from '../../../src/vmm/landlock.ts';
import { tscKhzOf } from '../../../src/vmm/time-stamp-counter.ts';
import type { Target } from '../engine.ts';
import { isRefusal, unless } from '../expectations.ts';

const NOW_MS = Date.UTC(2026, 0, 1);

const authority = await makeCertificate({
  recipe: { kind: 'x509', commonName: 'ca', names: [], lifetimeDays: 3650, isCa: true, signedBy: undefined }, fallbackName: 'ca', authority: undefined, nowMs: NOW_MS,
});
const fileOf = (name: string): string => Buffer.from(authority.get(name)?.reveal() ?? '').toString();
/** Parts of this much of a key would say something of it. */
const TOLD = 12;

const certificates: Target = {
  name: 'certificates',
  of: 'src/generate/certificate.ts: certificate and key of a CA (PEM, X.509, PKCS#8)',
  corpus: [fileOf('cert.pem') + fileOf('key.pem'), fileOf('key.pem') + fileOf('cert.pem'), fileOf('cert.pem'), fileOf('key.pem')],
  words: ['-----BEGIN CERTIFICATE-----\n', '-----END CERTIFICATE-----\n', '-----BEGIN PRIVATE KEY-----\n', '-----END PRIVATE KEY-----\n', '-----', 'MIG', '=='],
  check: async (input, random) => {
    const text = input.toString('latin1');
    const other = random.pick(['cert.pem', 'key.pem'] as const);
    const files = new Map([...authority, [other, secretOf(text)], ...(random.once(4) ? [['key.pem', secretOf(text)], ['cert.pem', secretOf(text)]] as const : [])]);
    try {
      const { certificate } = await readAuthority(files, NOW_MS);
      assert.ok(Number.isFinite(certificate.notAfter.getTime()) && certificate.notAfter.getTime() > NOW_MS);
    } catch (error) {
      if (!isRefusal('generate_failed')(error)) throw error;
      const said = (error as Error).message;
      for (let at = 0; at + TOLD <= said.length; at += 1) {
        const part = said.slice(at, at + TOLD);
        assert.ok(/[^A-Za-z0-9+/=]/.test(part) || !text.includes(part), `a part of the key is told: ${part}`);
      }
    }
  },
};

function bzImage(payload: Buffer): Buffer {
  const image = Buffer.alloc(3 * 512);
  image[0x1f1] = 1;
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt32LE(16, 0x248);
  image.writeUInt32LE(payload.length, 0x24c);
  payload.copy(image, 1024 + 16);
  return image;
}

const kernel: Target = {
  name: 'kernel',
  of: 'image/vmlinux.ts: the compressed kernel in a bzImage',
  corpus: [bzImage(Buffer.from('28b52ffd0000000000000000', 'hex')), bzImage(Buffer.from('1f8b0800000000', 'hex')), Buffer.alloc(600)],
  words: ['HdrS', '\x28\xb5\x2f\xfd', '\xff\xff\xff\xff', '\0\0\0\0'],
  check: (input) => {
    const payload = unless(isRefusal('build_failed'), () => payloadOf(input, 'bzImage'));
    assert.ok(payload === undefined || (payload.length >= 4 && payload.length <= input.length));
  },
};

const machine: Target = {
  name: 'machine',
  of: 'src/vm/vm-user.ts, src/vmm/accelerator.ts, landlock.ts, time-stamp-counter.ts: wishes of the environment, tables of the kernel',
  corpus: [
    '2080374784-2080440319', 'none', '         0          0 4294967295\n', 'model name\t: Intel(R) Xeon(R) CPU @ 2.40GHz\ncpu MHz\t\t: 2399.998\n', 'processor\t: 0\ncpu MHz\t\t: 3000.1\nflags\t\t: fpu vmx\n',
    'capability,landlock,yama\n', '6.2.0-1-amd64', 'kvm', 'tcg',
  ],
  words: ['@ 2.4.1GHz', 'GHz\n', 'cpu MHz\t: ', 'landlock', '-', '65536-4294967294', '6.', 'model name\t: '],
  maxBytes: 400,
  check: (input, random) => {
    const text = input.toString('latin1');
    const refused = isRefusal('invalid_request');
    const range = unless(refused, () => chooseUids(random.once(2) ? text : undefined, 0, random.once(2) ? text : '0 0 4294967295\n'));
    assert.ok(range === undefined || (range.first >= 65_536 && range.first <= range.last && range.last <= 4294967294));
    unless(refused, () => chooseAccelerator(random.once(2) ? text : '', { cpuinfo: text, kvmOpens: true }));
    const rate = tscKhzOf(text);
    assert.ok(rate === undefined || Number.isInteger(rate), `a rate of ${rate}`);
    assert.equal(typeof hasLandlock(text, text), 'boolean');
  },
};

const { listOf: _listOf, ...guards } = shape;

const ANSWERS = [
  { name: 'a', size: 1, permissions: '0600', uid: 0, gid: 0, mod_time: 't', modified_at: 't', delivery: { holding: 1, running: 1, pending: ['x'] } },
  { hostname: 'web-1', ip: '', created_at: 't', status: 'Running', secrets: 'all', tags: [], group: 'web', cpus: 1, ram_bytes: 1 },
  { hostname: 'web-1', lines: 1, content: 'x\n' }, { skipped: [{ file: 'a', reason: 'b' }] }, { time: 't', actor: 'a', event: 'grant', outcome: 'done' },
  { version: '1', git_commit: 'x', platform: 'linux', arch: 'amd64' }, { message: 'gone', disk_removed: 'true' },
];

const answers: Target = {
  name: 'daemon-answers',
  of: 'src/client/shape.ts: what a client takes for an answer of the daemon\'s',
  corpus: ANSWERS.map((answer) => JSON.stringify(answer)),
  words: ['name', 'secrets', 'delivery', 'pending', 'tags', 'skipped', 'all', '__proto__'],
  json: 'only',
  check: (input) => {
    const value = JSON.parse(input.toString()) as unknown;
    for (const guard of Object.values(guards)) {
      if (!guard(value)) continue;
      assert.ok(typeof value === 'object' && value !== null, `${JSON.stringify(value)} is an answer`);
    }
  },
};

export const hostTargets: readonly Target[] = [certificates, kernel, machine, answers];
