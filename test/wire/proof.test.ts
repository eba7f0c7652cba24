import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalInConstantTime, guestProof, HEX_32_BYTES, hostProof, sessionKey } from '../../src/wire/proof.ts';

const hmac = (key: string, text: string): string =>
  createHmac('sha256', Buffer.from(key, 'latin1')).update(text, 'latin1').digest('hex');

const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 });
/** Computed with `openssl dgst -sha256 -hmac`. */
const VECTOR = {
  guest: '8e2f6c822601ed0bbfc8fefb6baf80dfbb61031c9cc9a78edbf3210a566cf080',
  host: '293368deb287aec579319956a568f50be1769c55460cc148824f46b06387d9c3',
  key: '509528e658a91bc9f43873a55989794971c937acc50d31f16da9a3cf8de184a2',
  guestWithoutToken: 'da2425c89a9287a8d2005d7ee55e5424b70be8696de4e8cd47798fb92acba826',
};

const inputs = fc.record({ key: fc.oneof(fc.constant(''), hex), host: hex, guest: hex, share: hex });

test('no two proofs and keys of one exchange are the same, so none can be passed off as another', () => {
  fc.assert(fc.property(inputs, ({ key, host, guest, share }) => {
    const nonces = { host, guest };
    const swapped = { host: guest, guest: host };
    const all = [
      guestProof(hmac, key, 'session', nonces), guestProof(hmac, key, 'call', nonces),
      hostProof(hmac, key, 'session', nonces), hostProof(hmac, key, 'call', nonces),
      guestProof(hmac, key, 'session', swapped), hostProof(hmac, key, 'session', swapped),
      sessionKey(hmac, key, share, nonces), sessionKey(hmac, key, share, swapped),
    ];
    fc.pre(host !== guest);
    assert.equal(new Set(all).size, all.length);
    for (const proof of all) assert.match(proof, HEX_32_BYTES);
  }));
});

test('proofs and session keys depend on every part that goes in', () => {
  fc.assert(fc.property(inputs, inputs, (a, b) => {
    const key = (value: typeof a) => sessionKey(hmac, value.key, value.share, value);
    const proof = (value: typeof a) => guestProof(hmac, value.key, 'session', value);
    for (const part of ['key', 'host', 'guest', 'share'] as const) {
      fc.pre(a[part] !== b[part]);
      const changed = { ...a, [part]: b[part] };
      assert.notEqual(key(changed), key(a));
      if (part !== 'share') assert.notEqual(proof(changed), proof(a));
    }
  }));
});

test('a recorded exchange gives the recorded proofs, whoever computes them', () => {
  const nonces = { host: '11'.repeat(32), guest: '22'.repeat(32) };
  const token = '33'.repeat(32);
  assert.equal(guestProof(hmac, token, 'session', nonces), VECTOR.guest);
  assert.equal(hostProof(hmac, token, 'session', nonces), VECTOR.host);
  assert.equal(sessionKey(hmac, token, '44'.repeat(32), nonces), VECTOR.key);
  assert.equal(guestProof(hmac, '', 'session', nonces), VECTOR.guestWithoutToken);
});

test('the comparison in constant time is equality', () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
    assert.equal(equalInConstantTime(a, b), a === b);
    assert.equal(equalInConstantTime(a, a), true);
    assert.equal(equalInConstantTime(a, `${a} `), false);
  }));
});
