/** Certificates of an authority that lasts as long as a test, where this machine has OpenSSL. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Authority, authorityFilesOf } from '../../src/certificates/authority.ts';
import type { EpochMs } from '../../src/core/time.ts';

/** Why tests that need it are skipped, where they are. */
export const NO_OPENSSL: string | undefined =
  spawnSync('openssl', ['version']).error === undefined ? undefined : 'openssl is not installed here';

/** Made in `folder`, as `mqtt2exist certificate` makes them. */
export async function makeCertificates(
  folder: string,
  names: readonly string[] = ['localhost', '127.0.0.1', '::1'],
) {
  const files = authorityFilesOf(path.join(folder, 'mqtt2exist.yaml'));
  const authority = new Authority(files, undefined, Date.now() as EpochMs);
  if (!authority.exists) await authority.make('test');
  await authority.issue(names);
  const text = (file: string): string => readFileSync(file, 'utf8');
  return {
    files,
    authority,
    identity: { cert: text(files.cert), key: text(files.key), ca: text(files.ca) },
  };
}
