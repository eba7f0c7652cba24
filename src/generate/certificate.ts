// X.509 certificates (RFC 5280) with keys on P-256: a CA's, one that a CA of ours signed, or one that signed
// itself. An authority's own private key is read here and goes no further.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension, BasicConstraintsExtension, cryptoProvider, ExtendedKeyUsage, ExtendedKeyUsageExtension, type Extension,
  KeyUsageFlags, KeyUsagesExtension, Name, PemConverter, SubjectAlternativeNameExtension, SubjectKeyIdentifierExtension, X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { CertificateRecipe } from '../config/generators.ts';
import { isIpAddress, isSubjectName } from '../config/generators-schema.ts';
import { fail } from '../errors/slicer-error.ts';
import type { Secret } from '../secret/secret.ts';
import { secretOf } from './random.ts';

const EC = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** A guest whose clock is a little behind must take a new certificate. */
const BACKDATED_MS = 5 * 60 * 1000;
/** RFC 5280, 4.1.2.2: a positive number of at most 20 bytes. */
const SERIAL_BYTES = 16;

/** Its files by their names. */
export type Authority = ReadonlyMap<string, Secret>;

export interface CertificateRequest {
  readonly recipe: CertificateRecipe;
  /** What it is called where the recipe names nothing. */
  readonly fallbackName: string;
  /** The CA that signs; undefined: it signs itself. */
  readonly authority: Authority | undefined;
  readonly nowMs: number;
}

/** key.pem, cert.pem, and the chain to trust as ca.pem when a CA signs. Throws generate_failed. */
export async function makeCertificate({ recipe, fallbackName, authority, nowMs }: CertificateRequest): Promise<ReadonlyMap<string, Secret>> {
  cryptoProvider.set(webcrypto as never);
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']) as webcrypto.CryptoKeyPair;
  const signer = authority === undefined ? undefined : await readAuthority(authority, nowMs);
  const commonName = recipe.commonName ?? fallbackName;
  const subject = new Name([{ CN: [{ utf8String: commonName }] }]);
  const notAfterMs = nowMs + recipe.lifetimeDays * DAY_MS;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: signer === undefined ? subject : signer.certificate.subjectName,
    notBefore: new Date(nowMs - BACKDATED_MS),
    // None outlives the one that vouches for it.
    notAfter: new Date(Math.min(notAfterMs, signer?.certificate.notAfter.getTime() ?? notAfterMs)),
    publicKey: keys.publicKey,
    signingKey: signer?.key ?? keys.privateKey,
    signingAlgorithm: SIGNING,
    extensions: await extensionsOf(recipe, commonName, keys.publicKey, signer?.certificate),
  });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return new Map([
    ['key.pem', pem(key)],
    ['cert.pem', pem(certificate.toString('pem'))],
    ...(authority === undefined ? [] : [['ca.pem', chainOf(authority)] as const]),
  ]);
}

async function extensionsOf(
  { isCa, names }: CertificateRecipe, commonName: string, publicKey: webcrypto.CryptoKey, authority: X509Certificate | undefined,
): Promise<Extension[]> {
  // RFC 6125, 6.4.4: names are looked for here, and the common name is no longer read.
  const subjectNames = names.length > 0 ? names : !isCa && isSubjectName(commonName) ? [commonName] : [];
  return [
    new BasicConstraintsExtension(isCa, undefined, true),
    new KeyUsagesExtension(isCa ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature, true),
    ...(isCa ? [] : [new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth])]),
    ...(subjectNames.length === 0 ? [] : [new SubjectAlternativeNameExtension(
      subjectNames.map((value) => ({ type: isIpAddress(value) ? 'ip' as const : 'dns' as const, value })))]),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(authority?.publicKey ?? publicKey),
  ];
}

/** The key and certificate of a CA out of its files. Throws generate_failed, which says nothing of what is in them. */
export async function readAuthority(files: Authority, nowMs: number): Promise<{ readonly certificate: X509Certificate; readonly key: webcrypto.CryptoKey }> {
  let certificate: X509Certificate;
  let key: webcrypto.CryptoKey;
  try {
    certificate = new X509Certificate(textOf(files.get('cert.pem')));
    const [pkcs8] = PemConverter.decode(textOf(files.get('key.pem')));
    key = await webcrypto.subtle.importKey('pkcs8', pkcs8 as ArrayBuffer, EC, false, ['sign']) as webcrypto.CryptoKey;
  } catch {
    // What a parser says of a key may quote it.
    throw fail('generate_failed', 'the CA that is to sign has no key and certificate on P-256 in key.pem and cert.pem');
  }
  if (certificate.notAfter.getTime() <= nowMs) {
    throw fail('generate_failed', `the certificate of the CA that is to sign ended on ${certificate.notAfter.toISOString().slice(0, 10)}`, 'make the CA again with --regenerate');
  }
  return { certificate, key };
}

/** The CA's certificate, and those above it. */
function chainOf(authority: Authority): Secret {
  return secretOf(textOf(authority.get('cert.pem')) + textOf(authority.get('ca.pem')));
}

function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

const textOf = (secret: Secret | undefined): string => (secret === undefined ? '' : Buffer.from(secret.reveal()).toString());

const pem = (text: string): Secret => secretOf(text.endsWith('\n') ? text : `${text}\n`);
