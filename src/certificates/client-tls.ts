/**
 * What a connection to another broker needs for TLS: every reason why it is of no use.
 */
import type { X509Certificate } from 'node:crypto';
import type { EpochMs } from '../core/time.ts';
import { certificatesIn, expiryOf, keyIn, pairOf, refusalOf, type Finding } from './pem.ts';

/** PEM. */
export interface ClientTls {
  /** Of the authorities that are trusted. */
  readonly ca: string | undefined;
  /** Our own certificate, and its key. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface ClientTlsProblem extends Finding {
  readonly at: keyof ClientTls;
}

const GET_CA = 'get the present certificate of the authority that signed the broker’s';
const GET_CERT = 'get another one from whoever runs the broker';

/** `now` decides what has expired. */
export function clientTlsProblems({ ca, cert, key }: ClientTls, now: EpochMs): readonly ClientTlsProblem[] {
  const problems: ClientTlsProblem[] = [];
  const at = <Read extends object>(where: keyof ClientTls, read: Read | Finding): Read | undefined => {
    if (!('problem' in read)) return read;
    problems.push({ at: where, problem: read.problem, hint: read.hint });
    return undefined;
  };
  const authorities = ca === undefined ? undefined : at('ca', certificatesIn(ca))?.chain;
  const chain = cert === undefined ? undefined : at('cert', certificatesIn(cert))?.chain;
  const privateKey = key === undefined ? undefined : at('key', keyIn(key))?.key;
  // Of many authorities some may have expired: one that has not may be the one.
  if (authorities) at('ca', expiryOf(lastToExpire(authorities), now, GET_CA));
  if (chain) at('cert', expiryOf(chain[0], now, GET_CERT));
  if (chain && privateKey) at('key', pairOf(chain[0], privateKey));
  if (problems.length > 0 || cert === undefined || key === undefined) return problems;
  const refusal = refusalOf({ cert, key, ca });
  return refusal === undefined ? [] : [{ at: 'cert', ...refusal }];
}

function lastToExpire(certificates: readonly [X509Certificate, ...X509Certificate[]]): X509Certificate {
  return certificates.reduce((last, one) =>
    Date.parse(one.validTo) > Date.parse(last.validTo) ? one : last,
  );
}
