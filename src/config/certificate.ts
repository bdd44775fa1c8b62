/**
 * The files of the broker's certificate, as `broker.tls` names them.
 */
import { resolved } from './files.ts';
import type { Finding } from './problem.ts';

/** Absolute paths. */
export interface ConfiguredCertificate {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
}

/** What is wrong with what the files hold. */
export type CertificateCheck = (files: ConfiguredCertificate) => readonly {
  readonly at: keyof ConfiguredCertificate;
  readonly problem: string;
  readonly hint: string;
}[];

interface Given {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

/** `undefined` where none is configured; complaints about what the files hold go to `complain`. */
export function certificateOf(
  { cert, key, ca }: Given,
  configFile: string,
  check: CertificateCheck | undefined,
  complain: (finding: Finding) => void,
): ConfiguredCertificate | undefined {
  if (cert === undefined || key === undefined) return undefined;
  const files = {
    cert: resolved(configFile, cert),
    key: resolved(configFile, key),
    ca: ca === undefined ? undefined : resolved(configFile, ca),
  };
  for (const { at, problem, hint } of check?.(files) ?? []) {
    complain({ path: ['broker', 'tls', at], message: problem, hint });
  }
  return files;
}
