/**
 * The certificate that listeners with TLS show: read whole, or every reason why it is of no use.
 */
import type { EpochMs } from '../core/time.ts';
import {
  certificatesIn,
  expiryOf,
  keyIn,
  namesOf,
  pairOf,
  readText,
  refusalOf,
  signs,
  type Finding,
} from './pem.ts';

/** Paths. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  /** The authority's certificate. */
  readonly ca: string | undefined;
}

export interface ServerCertificate {
  /** PEM. */
  readonly identity: { readonly cert: string; readonly key: string; readonly ca: string | undefined };
  readonly validFrom: EpochMs;
  readonly validUntil: EpochMs;
  /** Host names and addresses. */
  readonly names: readonly string[];
}

export interface CertificateProblem extends Finding {
  /** Of which file. */
  readonly at: keyof CertificateFiles;
}

const MAKE =
  'make one with `mqtt2exist certificate`, or name another file (relative to the folder of the configuration)';
const RENEW = 'renew it: `mqtt2exist certificate` does so for those it has made';

/** `now` decides whether it has expired; one that is not valid yet may be the clock's fault, and is taken. */
export function readServerCertificate(
  files: CertificateFiles,
  now: EpochMs,
): { readonly certificate: ServerCertificate } | { readonly problems: readonly CertificateProblem[] } {
  const problems: CertificateProblem[] = [];
  const at = <Read extends object>(key: keyof CertificateFiles, read: Read | Finding): Read | undefined => {
    if (!('problem' in read)) return read;
    problems.push({ at: key, problem: read.problem, hint: read.hint });
    return undefined;
  };
  const textOf = (key: keyof CertificateFiles, file: string): string | undefined =>
    at(key, readText(file, MAKE))?.text;
  const cert = textOf('cert', files.cert);
  const key = textOf('key', files.key);
  const ca = files.ca === undefined ? undefined : textOf('ca', files.ca);
  const chain = cert === undefined ? undefined : at('cert', certificatesIn(cert))?.chain;
  const privateKey = key === undefined ? undefined : at('key', keyIn(key))?.key;
  const authorities = ca === undefined ? undefined : at('ca', certificatesIn(ca))?.chain;
  if (chain) at('cert', expiryOf(chain[0], now, RENEW));
  if (authorities) at('ca', expiryOf(authorities[0], now, RENEW));
  if (chain && privateKey) at('key', pairOf(chain[0], privateKey));
  if (chain && authorities && !chain.some((one) => authorities.some((authority) => signs(authority, one)))) {
    const hint = 'name the certificate of the authority that did, or take ca out';
    problems.push({ at: 'ca', problem: 'it did not sign cert', hint });
  }
  if (!chain || cert === undefined || key === undefined || problems.length > 0) return { problems };
  const refusal = refusalOf({ cert, key, ca });
  if (refusal !== undefined) return { problems: [{ at: 'cert', ...refusal }] };
  const [{ validFrom, validTo }] = chain;
  return {
    certificate: {
      identity: { cert, key, ca },
      validFrom: Date.parse(validFrom) as EpochMs,
      validUntil: Date.parse(validTo) as EpochMs,
      names: namesOf(chain[0]),
    },
  };
}
