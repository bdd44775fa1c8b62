/**
 * Certificates and keys as they stand in files.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { opensslWords } from '../core/openssl-words.ts';
import type { EpochMs } from '../core/time.ts';

/** What is wrong, and what to do about it. */
export interface Finding {
  readonly problem: string;
  readonly hint: string;
}

const MOST_BYTES = 1024 * 1024;
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const READABLE = 'make it readable for the user that runs mqtt2exist';

export function readText(file: string, missing: string): { readonly text: string } | Finding {
  try {
    const stats = statSync(file);
    if (stats.isDirectory()) return { problem: 'it is a folder', hint: missing };
    if (stats.size > MOST_BYTES) return { problem: 'it is far too large', hint: missing };
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'the system refuses';
    if (code === 'ENOENT' || code === 'ENOTDIR') return { problem: 'there is no such file', hint: missing };
    if (code === 'EACCES' || code === 'EPERM') return { problem: 'permission denied', hint: READABLE };
    return { problem: `the file cannot be read: ${code}`, hint: READABLE };
  }
}

/** All that are in the text, in their order; at least one. */
export function certificatesIn(
  text: string,
): { readonly chain: readonly [X509Certificate, ...X509Certificate[]] } | Finding {
  const blocks = text.match(BLOCK) ?? [];
  try {
    const [first, ...rest] = blocks.map((block) => new X509Certificate(block));
    if (first) return { chain: [first, ...rest] };
  } catch {
    return { problem: 'the certificate in it is damaged', hint: 'copy it once more' };
  }
  if (text.includes('PRIVATE KEY-----')) {
    return { problem: 'there is a key in it and no certificate', hint: 'are cert and key swapped?' };
  }
  const hint = 'write it as PEM: openssl x509 -in FILE -out FILE.pem';
  return { problem: 'there is no certificate in it', hint };
}

export function keyIn(text: string): { readonly key: KeyObject } | Finding {
  if (!text.includes('PRIVATE KEY-----')) {
    const isCertificate = text.includes('BEGIN CERTIFICATE');
    const hint = isCertificate
      ? 'are cert and key swapped?'
      : 'write it as PEM: openssl pkey -in FILE -out FILE.pem';
    return { problem: `there is ${isCertificate ? 'a certificate in it and no key' : 'no key in it'}`, hint };
  }
  try {
    return { key: createPrivateKey(text) };
  } catch {
    // The words of OpenSSL differ between versions; the text says so itself.
    if (/ENCRYPTED/.test(text)) {
      const hint = 'take its passphrase away: openssl pkey -in FILE -out FILE.plain';
      return { problem: 'it is encrypted, and nobody is there to be asked for its passphrase', hint };
    }
    return { problem: 'the key in it is damaged', hint: 'copy it once more' };
  }
}

/** That `key` belongs to `certificate`. */
export function pairOf(certificate: X509Certificate, key: KeyObject): object | Finding {
  if (certificate.checkPrivateKey(key)) return {};
  return { problem: 'it is not the key of cert', hint: 'name the key that the certificate was made with' };
}

/** One that is not valid yet may be the clock's fault, and is taken. */
export function expiryOf({ validTo }: X509Certificate, now: EpochMs, hint: string): object | Finding {
  const until = Date.parse(validTo);
  return until > now ? {} : { problem: `it expired on ${dayOf(until)}`, hint };
}

/** What only OpenSSL knows, such as keys that are too short for it. */
export function refusalOf(identity: {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
}): Finding | undefined {
  try {
    const { cert, key, ca } = identity;
    createSecureContext({ cert, key, ...(ca !== undefined && { ca }) });
    return undefined;
  } catch (error) {
    return {
      problem: `OpenSSL does not take it (${opensslWords(error)})`,
      hint: 'make another one, with a P-256 or RSA 2048 key',
    };
  }
}

export function signs(authority: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** The names and addresses it is for, as they are written. */
export function namesOf({ subjectAltName }: X509Certificate): string[] {
  return (subjectAltName ?? '').split(', ').flatMap((entry) => {
    const [, name] = /^(?:DNS|IP Address):(.+)$/.exec(entry) ?? [];
    if (name === undefined) return [];
    // Node writes all zeros of an IPv6 address.
    return [isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name];
  });
}

/** `YYYY-mm-dd`. */
export function dayOf(instantMs: number): string {
  return new Date(instantMs).toISOString().slice(0, 10);
}
