/**
 * Reads the configuration for a command: every problem printed, nothing done where there is one.
 */
import { readFileSync } from 'node:fs';
import { DeviceFile, deviceFileOf } from '../accounts/device-file.ts';
import { readPasswordHash } from '../accounts/password-hash.ts';
import { clientTlsProblems } from '../certificates/client-tls.ts';
import {
  readServerCertificate,
  type CertificateFiles,
  type CertificateProblem,
} from '../certificates/server-certificate.ts';
import { formatProblem, type Problem } from '../config/problem.ts';
import { loadConfig, type LoadOptions, type LoadResult } from '../config/load.ts';
import type { EpochMs } from '../core/time.ts';
import { compileExpressions } from '../expression/expressions.ts';

export interface LoadFor {
  /** Names that are about to be accounts of devices as well. */
  readonly alsoDevices?: readonly string[];
  /** `checked`: its files are looked into, for the daemon; `to come`: it is about to be made. Default: as named. */
  readonly certificate?: 'checked' | 'to come';
}

export function load(file: string, { alsoDevices = [], certificate }: LoadFor = {}): LoadResult {
  return loadConfig(file, {
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
    checkExpression: (source) => {
      const compiled = compileExpressions({ value: source });
      return compiled.ok ? undefined : compiled.problems[0];
    },
    checkAccounts: {
      passwordHash: (text) => {
        const read = readPasswordHash(text);
        return 'problem' in read ? read : undefined;
      },
      devices: (configFile) => {
        const read = new DeviceFile(deviceFileOf(configFile)).read();
        return 'problem' in read
          ? read
          : { names: [...read.devices.map(({ name }) => name), ...alsoDevices] };
      },
    },
    isCertificateToCome: certificate === 'to come',
    ...(certificate === 'checked' && { checkCertificate, checkConnectionTls }),
  });
}

function checkCertificate(files: CertificateFiles): readonly CertificateProblem[] {
  const read = readServerCertificate(files, Date.now() as EpochMs);
  return 'problems' in read ? read.problems : [];
}

const checkConnectionTls: LoadOptions['checkConnectionTls'] = (tls) =>
  clientTlsProblems(tls, Date.now() as EpochMs);

export function printProblems(problems: readonly Problem[]): void {
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  process.stderr.write(`mqtt2exist: ${count} in the configuration\n`);
}
