/**
 * What a connection to another broker needs for TLS: every reason why it is of no use.
 */
import { certificatesIn, keyIn, type Finding } from './pem.ts';

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

export function clientTlsProblems({ ca, cert, key }: ClientTls): readonly ClientTlsProblem[] {
  const problems: ClientTlsProblem[] = [];
  const at = <Read extends object>(where: keyof ClientTls, read: Read | Finding): Read | undefined => {
    if (!('problem' in read)) return read;
    problems.push({ at: where, problem: read.problem, hint: read.hint });
    return undefined;
  };
  if (ca !== undefined) at('ca', certificatesIn(ca));
  const chain = cert === undefined ? undefined : at('cert', certificatesIn(cert))?.chain;
  const privateKey = key === undefined ? undefined : at('key', keyIn(key))?.key;
  if (chain && privateKey && !chain[0].checkPrivateKey(privateKey)) {
    const hint = 'name the key that the certificate was made with';
    problems.push({ at: 'key', problem: 'it is not the key of cert', hint });
  }
  return problems;
}
