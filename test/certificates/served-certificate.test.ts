import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ServedCertificate } from '../../src/certificates/served-certificate.ts';
import {
  readServerCertificate,
  type CertificateFiles,
  type ServerCertificate,
} from '../../src/certificates/server-certificate.ts';
import { DAY_MS, SECOND_MS, type EpochMs } from '../../src/core/time.ts';
import { TestClock } from '../support/clock.ts';
import { makeCertificates, NO_OPENSSL } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { IS_ROOT, skipped } from '../support/skip.ts';

const now = (): EpochMs => Date.now() as EpochMs;

/** One that signed itself, as many how-tos make them. */
function selfSigned(
  folder: string,
  days: number,
  more: readonly string[] = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
) {
  const [cert, key] = [path.join(folder, 'own.crt'), path.join(folder, 'own.key')];
  const out = ['-nodes', '-keyout', key, '-out', cert, '-days', String(days), '-subj', '/CN=pi'];
  execFileSync('openssl', ['req', '-x509', ...more, ...out], { stdio: 'ignore' });
  return { cert, key, ca: undefined };
}

function problemsOf(files: CertificateFiles, at = now()): string[] {
  const read = readServerCertificate(files, at);
  return 'problems' in read ? read.problems.map(({ at, problem, hint }) => `${at}: ${problem}; ${hint}`) : [];
}

describe.skipIf(NO_OPENSSL)(`a certificate${skipped(NO_OPENSSL)}`, () => {
  it('is read with its names and dates', async () => {
    const { files, identity } = await makeCertificates(temporaryFolder());
    const read = readServerCertificate({ cert: files.cert, key: files.key, ca: files.ca }, now());
    expect(read).toMatchObject({ certificate: { identity, names: ['localhost', '127.0.0.1', '::1'] } });
  });

  it('may have signed itself', () => {
    const files = selfSigned(temporaryFolder(), 10);
    expect(problemsOf(files)).toEqual([]);
    expect(problemsOf({ ...files, ca: files.cert })).toEqual([]);
  });

  it.each([
    [
      'is not there',
      (f) => rmSync(f.cert),
      [/^cert: there is no such file; make one with `mqtt2exist certificate`/],
    ],
    ['has no key', (f) => rmSync(f.key), [/^key: there is no such file/]],
    ['is a folder', (f) => (f.cert = path.dirname(f.cert)), [/^cert: it is a folder/]],
    [
      'has files swapped',
      (f) => ([f.cert, f.key] = [f.key, f.cert]),
      [
        /^cert: there is a key in it/,
        /^key: there is a certificate in it and no key; are cert and key swapped/,
      ],
    ],
    ['is empty', (f) => writeFileSync(f.cert, ''), [/^cert: there is no certificate in it; write it as PEM/]],
    [
      'is damaged',
      (f) => writeFileSync(f.cert, readFileSync(f.cert, 'utf8').replace(/\n..../, '\nAAAA')),
      [/^cert: the certificate in it is damaged/],
    ],
    [
      'has a damaged key',
      (f) => writeFileSync(f.key, readFileSync(f.key, 'utf8').replace(/\n..../, '\nAAAA')),
      [/^key: the key in it is damaged/],
    ],
    ['has the key of another', (f, other) => (f.key = other.key), [/^key: it is not the key of cert/]],
    ['is of another authority', (f, other) => (f.ca = other.ca), [/^ca: it did not sign cert/]],
    ['has an authority that is not there', (f) => (f.ca = '/nowhere/ca.crt'), [/^ca: there is no such file/]],
    ['is far too large', (f) => writeFileSync(f.ca, Buffer.alloc(2_000_000)), [/^ca: it is far too large/]],
  ] satisfies [
    string,
    (files: Record<'cert' | 'key' | 'ca', string>, other: Record<'cert' | 'key' | 'ca', string>) => unknown,
    RegExp[],
  ][])('that %s is told of', async (_what, spoil, expected) => {
    const { files: made } = await makeCertificates(temporaryFolder());
    const { files: other } = await makeCertificates(temporaryFolder());
    const files = { cert: made.cert, key: made.key, ca: made.ca };
    spoil(files, other);
    const problems = problemsOf(files);
    expect(problems).toHaveLength(expected.length);
    expected.forEach((pattern, index) => expect(problems[index]).toMatch(pattern));
  });

  it('that has expired is told of, with the day', async () => {
    const { files } = await makeCertificates(temporaryFolder());
    const given = { cert: files.cert, key: files.key, ca: files.ca };
    expect(problemsOf(given, (now() + 819 * DAY_MS) as EpochMs)).toEqual([]);
    expect(problemsOf(given, (now() + 821 * DAY_MS) as EpochMs)).toEqual([
      expect.stringMatching(/^cert: it expired on 20\d\d-\d\d-\d\d; renew it: `mqtt2exist certificate`/),
    ]);
    // Before the clock is set.
    expect(problemsOf(given, 0 as EpochMs)).toEqual([]);
  });

  it('with a key that wants a passphrase is told of', () => {
    const folder = temporaryFolder();
    const files = selfSigned(folder, 10);
    const locked = path.join(folder, 'locked.key');
    execFileSync('openssl', ['pkey', '-in', files.key, '-aes256', '-passout', 'pass:secret', '-out', locked]);
    expect(problemsOf({ ...files, key: locked })).toEqual([
      expect.stringMatching(/^key: it is encrypted, .*openssl pkey/),
    ]);
  });

  it('with a key that is too short for OpenSSL is told of', () => {
    const files = selfSigned(temporaryFolder(), 10, ['-newkey', 'rsa:512']);
    expect(problemsOf(files)).toEqual([expect.stringMatching(/^cert: OpenSSL does not take it/)]);
  });

  it.skipIf(IS_ROOT)(`that may not be read is told of${skipped(IS_ROOT)}`, async () => {
    const { files } = await makeCertificates(temporaryFolder());
    chmodSync(files.key, 0);
    expect(problemsOf({ ...files })).toEqual([
      expect.stringMatching(/^key: permission denied; make it readable for/),
    ]);
  });
});

async function serving(names?: readonly string[]) {
  const folder = temporaryFolder();
  const { files } = await makeCertificates(folder, names);
  const clock = new TestClock(new Date().toISOString());
  const shown: ServerCertificate['identity'][] = [];
  const logged: string[] = [];
  let isTimeKnown = true;
  const served = new ServedCertificate(
    {
      clock: {
        now: () => clock.now(),
        after: (delayMs, task) => clock.at((clock.now() + delayMs) as EpochMs, task),
      },
      isTimeKnown: () => isTimeKnown,
      onCertificate: (identity) => shown.push(identity),
      log: (level, message) => logged.push(`${level}: ${message}`),
    },
    { cert: files.cert, key: files.key, ca: files.ca },
  );
  const pass = (ms: number): void => clock.advanceTo(new Date(clock.now() + ms).toISOString());
  /** As `pass`, without the looks of every second in between. */
  const skip = (ms: number): void => {
    clock.set(new Date(clock.now() + ms).toISOString());
    pass(SECOND_MS);
  };
  const forgetTime = (): void => void (isTimeKnown = false);
  return { folder, files, served, shown, logged, pass, skip, forgetTime };
}

describe.skipIf(NO_OPENSSL)(`a certificate that is served${skipped(NO_OPENSSL)}`, () => {
  it('is another one within two seconds of its files', async () => {
    const { folder, served, shown, logged, pass } = await serving();
    served.start();
    expect(shown).toHaveLength(1);
    pass(10 * SECOND_MS);
    const { identity } = await makeCertificates(folder);
    pass(2 * SECOND_MS);
    expect(shown).toHaveLength(2);
    expect(shown[1]).toEqual(identity);
    expect(logged).toEqual(['info: another certificate is shown from now on']);
    served.stop();
    await makeCertificates(folder);
    pass(10 * SECOND_MS);
    expect(shown).toHaveLength(2);
  });

  it('stays while what is in its files does not fit, which is told once, and is replaced when it does', async () => {
    const { files, served, shown, logged, pass } = await serving();
    served.start();
    const other = await makeCertificates(temporaryFolder());
    writeFileSync(files.cert, other.identity.cert);
    pass(5 * SECOND_MS);
    expect(shown).toHaveLength(1);
    expect(logged).toEqual([
      expect.stringMatching(
        /^error: .*server\.key: it is not the key of cert; .*the certificate stays as it was$/,
      ),
    ]);
    writeFileSync(files.key, other.identity.key);
    writeFileSync(files.ca, other.identity.ca);
    pass(2 * SECOND_MS);
    expect(shown).toHaveLength(2);
  });

  it('stays while its files are away', async () => {
    const { files, served, shown, logged, pass } = await serving();
    served.start();
    renameSync(files.cert, `${files.cert}.away`);
    pass(5 * SECOND_MS);
    renameSync(`${files.cert}.away`, files.cert);
    pass(5 * SECOND_MS);
    expect(shown).toHaveLength(1);
    expect(logged).toEqual([expect.stringMatching(/there is no such file/)]);
  });

  it('comes from other files as soon as these are named', async () => {
    const { served, shown } = await serving();
    served.start();
    const { files, identity } = await makeCertificates(temporaryFolder());
    served.use({ cert: files.cert, key: files.key, ca: files.ca });
    expect(shown[1]).toEqual(identity);
  });

  it('is warned of thirty days before it expires, once a day, and told of once it has', async () => {
    const { served, logged, pass, skip } = await serving();
    served.start();
    expect(served.trouble).toBeUndefined();
    skip(789 * DAY_MS);
    expect(served.trouble).toBeUndefined();
    skip(1.5 * DAY_MS);
    expect(served.trouble).toMatch(
      /^the broker's certificate expires in 29 days \(20\d\d-\d\d-\d\d\); `mqtt2exist certificate` renews/,
    );
    expect(logged).toHaveLength(1);
    pass(60 * SECOND_MS);
    expect(logged).toHaveLength(1);
    skip(DAY_MS);
    skip(DAY_MS);
    expect(logged).toHaveLength(3);
    skip(27 * DAY_MS);
    expect(served.trouble).toMatch(/expires today/);
    skip(DAY_MS);
    expect(served.trouble).toMatch(/expired on .*: clients refuse it/);
    served.stop();
  });

  it('says nothing of dates while the time is not known', async () => {
    const { served, pass, forgetTime } = await serving();
    served.start();
    served.stop();
    pass(900 * DAY_MS);
    expect(served.trouble).toMatch(/expired/);
    forgetTime();
    expect(served.trouble).toBeUndefined();
  });

  it('that is of no use at the start is an error that says why', async () => {
    const { files, served } = await serving();
    rmSync(files.key);
    expect(() => {
      served.start();
    }).toThrow(
      /^the certificate of the listeners cannot be used: .*server\.key: there is no such file; make one/,
    );
  });
});
