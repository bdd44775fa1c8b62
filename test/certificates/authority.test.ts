import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Authority, authorityFilesOf, isHostName } from '../../src/certificates/authority.ts';
import { openssl } from '../../src/certificates/openssl.ts';
import { namesOf } from '../../src/certificates/pem.ts';
import { DAY_MS, type EpochMs } from '../../src/core/time.ts';
import { NO_OPENSSL } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { skipped } from '../support/skip.ts';

function inFolder(now = Date.now() as EpochMs) {
  const folder = temporaryFolder();
  const files = authorityFilesOf(path.join(folder, 'mqtt2exist.yaml'));
  const authority = new Authority(files, undefined, now);
  const certificate = (file: string): X509Certificate => new X509Certificate(readFileSync(file));
  return { folder, files, authority, certificate };
}

describe.skipIf(NO_OPENSSL)(`a household's authority${skipped(NO_OPENSSL)}`, () => {
  it('signs what OpenSSL takes for a server of these names, for no longer than Apple does', async () => {
    const { folder, files, authority, certificate } = inFolder();
    await authority.make('raspberry pi/$x');
    await authority.issue(['pi', 'pi.local', '192.168.1.5', 'fd00::5']);
    for (const name of ['-verify_hostname pi.local', '-verify_ip 192.168.1.5', '-verify_ip fd00::5']) {
      const args = ['verify', '-purpose', 'sslserver', '-CAfile', files.ca, ...name.split(' '), files.cert];
      expect(execFileSync('openssl', args).toString()).toContain('OK');
    }
    const server = certificate(files.cert);
    expect(server.ca).toBe(false);
    expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(server.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(namesOf(server)).toEqual(['pi', 'pi.local', '192.168.1.5', 'fd00::5']);
    const days = (Date.parse(server.validTo) - Date.parse(server.validFrom)) / DAY_MS;
    expect(days).toBeGreaterThan(800);
    expect(days).toBeLessThanOrEqual(825);
    const text = execFileSync('openssl', ['x509', '-in', files.ca, '-noout', '-text']).toString();
    expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    expect(text).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign/);
    expect(text).toMatch(/Subject: CN ?= ?mqtt2exist raspberrypix [0-9a-f]{8}/);
    for (const key of [files.caKey, files.key]) expect(statSync(key).mode & 0o777).toBe(0o600);
    // Nothing of the making is left.
    expect(readdirSync(folder)).toHaveLength(4);
  });

  it('stays when the certificate is renewed, and so do its key and its names', async () => {
    const { files, authority, certificate } = inFolder();
    await authority.make('pi');
    await authority.issue(['pi', '192.168.1.5', 'fd00::5']);
    const [ca, caKey, key] = [files.ca, files.caKey, files.key].map((file) => readFileSync(file, 'utf8'));
    const before = certificate(files.cert);
    await authority.issue(['pi', '192.168.1.6']);
    const after = certificate(files.cert);
    expect(after.serialNumber).not.toBe(before.serialNumber);
    expect(namesOf(after)).toEqual(['pi', '192.168.1.6', '192.168.1.5']);
    expect(after.verify(certificate(files.ca).publicKey)).toBe(true);
    expect([files.ca, files.caKey, files.key].map((file) => readFileSync(file, 'utf8'))).toEqual([
      ca,
      caKey,
      key,
    ]);
  });

  it('is never replaced', async () => {
    const { folder, files, authority } = inFolder();
    await authority.make('pi');
    const before = readFileSync(files.ca, 'utf8');
    await expect(authority.make('pi')).rejects.toThrow(/EEXIST/);
    expect(readFileSync(files.ca, 'utf8')).toBe(before);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('whose half is gone is not made anew', async () => {
    const { files, authority } = inFolder();
    expect(authority.exists).toBe(false);
    await authority.make('pi');
    expect(authority.exists).toBe(true);
    renameSync(files.caKey, `${files.caKey}.away`);
    expect(() => authority.exists).toThrow(/ca\.crt and no .*ca\.key; put it back/);
    renameSync(`${files.caKey}.away`, files.caKey);
    rmSync(files.ca);
    expect(() => authority.exists).toThrow(/ca\.key and no .*ca\.crt; put it back/);
  });

  it('signs nothing that outlives it, and nothing once it has expired', async () => {
    const { files, authority, certificate } = inFolder();
    await authority.make('pi');
    const until = Date.parse(certificate(files.ca).validTo);
    const late = new Authority(files, undefined, (until - 10 * DAY_MS) as EpochMs);
    await late.issue(['pi']);
    const { validFrom, validTo } = certificate(files.cert);
    expect((Date.parse(validTo) - Date.parse(validFrom)) / DAY_MS).toBe(10);
    const tooLate = new Authority(files, undefined, (until + DAY_MS) as EpochMs);
    await expect(tooLate.issue(['pi'])).rejects.toThrow(/expired on \d{4}-/);
  });

  it('is not made while the clock was never set', async () => {
    const { folder, authority } = inFolder(1_000 as EpochMs);
    await expect(authority.make('pi')).rejects.toThrow(/shows 1970-01-01; set it first/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('tells of a key that is of no use, and leaves the certificate alone', async () => {
    const { files, authority } = inFolder();
    await authority.make('pi');
    writeFileSync(files.key, 'nothing');
    await expect(authority.issue(['pi'])).rejects.toThrow(/server\.key: there is no key in it/);
    expect(existsSync(files.cert)).toBe(false);
  });
});

it('says how to get openssl where it is not there', async () => {
  await expect(openssl(['version'], { PATH: temporaryFolder() })).rejects.toThrow(
    'the command openssl is not there; install it: sudo apt install openssl',
  );
});

it.skipIf(NO_OPENSSL)(`passes on what openssl complains of${skipped(NO_OPENSSL)}`, async () => {
  await expect(openssl(['x509', '-in', '/nowhere'])).rejects.toThrow(/openssl x509 failed: .*nowhere/s);
});

it.each(['pi', 'pi.local', 'my_pi', 'a-b.example.org', '10.0.0.1', '::1', 'fd00::1'])(
  '%s is a name of a host',
  (name) => {
    expect(isHostName(name)).toBe(true);
  },
);

it.each([
  '',
  'a b',
  'a,DNS:b',
  'a\nb',
  '$ENV',
  '-a',
  'a..b',
  '1.2.3',
  '1.2.3.400',
  'é',
  '*.local',
  'a'.repeat(64),
])('%j is no name of a host', (name) => {
  expect(isHostName(name)).toBe(false);
});
