/**
 * An authority of this household's own, and the certificates that it signs for the broker.
 *
 * Files are made in a folder beside their place and moved there whole; the authority's are never replaced. Devices hold
 * the authority's certificate for years, so the broker's can be renewed without touching them. It keeps its key when
 * it is renewed: some devices go by the key's fingerprint.
 */
import type { X509Certificate } from 'node:crypto';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { DAY_MS, type EpochMs } from '../core/time.ts';
import { openssl } from './openssl.ts';
import { certificatesIn, dayOf, keyIn, namesOf, readText, signs } from './pem.ts';

/** Paths. */
export interface AuthorityFiles {
  readonly ca: string;
  readonly caKey: string;
  readonly cert: string;
  readonly key: string;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Something is in the way; the message says what to do. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
}

/** As long as a device lives; before 2050 dates have the form that all parsers know. */
const AUTHORITY_DAYS = 20 * 365;
/** Apple's systems take no more than 825 days. */
const SERVER_DAYS = 820;
/** A clock that shows less was never set. */
const SANE_MS = Date.UTC(2024, 0, 1);
const MOST_NAMES = 64;

/** Beside the configuration, with its name. */
export function authorityFilesOf(configFile: string): AuthorityFiles {
  const { dir, name } = path.parse(path.resolve(configFile));
  const file = (rest: string): string => path.join(dir, `${name}.${rest}`);
  return { ca: file('ca.crt'), caKey: file('ca.key'), cert: file('server.crt'), key: file('server.key') };
}

/** Whether it may stand in a certificate as the name of a host: a domain name or an address. */
export function isHostName(name: string): boolean {
  if (isIP(name) !== 0) return true;
  const label = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/;
  return name.length <= 253 && !/^[\d.]+$/.test(name) && name.split('.').every((part) => label.test(part));
}

export class Authority {
  /** @param owner whose the files are to be where they are made by root */
  constructor(
    private readonly files: AuthorityFiles,
    private readonly owner: Owner | undefined,
    private readonly now: EpochMs,
  ) {}

  /** @throws AuthorityError where one half of it is gone */
  get exists(): boolean {
    const { ca, caKey } = this.files;
    const [has, hasKey] = [existsSync(ca), existsSync(caKey)];
    if (has === hasKey) return has;
    const [there, missing] = has ? [ca, caKey] : [caKey, ca];
    throw new AuthorityError(
      `there is ${there} and no ${missing}; put it back, or move the other away for a new authority (devices then need its certificate)`,
    );
  }

  /**
   * @param household stands in its name
   * @throws AuthorityError, OpensslError
   */
  async make(household: string): Promise<void> {
    this.checkClock();
    // Two authorities of one name would be taken for each other.
    const name = `mqtt2exist ${household.replace(/[^\w.-]/g, '').slice(0, 40)} ${randomBytes(4).toString('hex')}`;
    await this.inFolder(async (at) => {
      writeKey(at('key'), newKey());
      writeFileSync(
        at('conf'),
        [
          '[req]',
          'distinguished_name = name',
          'x509_extensions = authority',
          'prompt = no',
          'string_mask = utf8only',
          '[name]',
          `CN = ${name}`,
          '[authority]',
          'basicConstraints = critical, CA:TRUE, pathlen:0',
          'keyUsage = critical, keyCertSign, cRLSign',
          'subjectKeyIdentifier = hash',
          '',
        ].join('\n'),
      );
      const how = ['-new', '-x509', '-sha256', '-days', String(AUTHORITY_DAYS), '-set_serial', serial()];
      await openssl(['req', ...how, '-key', at('key'), '-config', at('conf'), '-out', at('crt')]);
      this.place(at('key'), this.files.caKey, linkSync);
      this.place(at('crt'), this.files.ca, linkSync);
    });
  }

  /**
   * A certificate for these names; those of the one before stay in it.
   * @throws AuthorityError, OpensslError
   */
  async issue(names: readonly string[]): Promise<void> {
    this.checkClock();
    const { ca, caKey, cert, key } = this.files;
    const days = Math.min(SERVER_DAYS, this.daysLeft());
    const all = [...new Set([...names, ...this.namesBefore()])].slice(0, MOST_NAMES);
    await this.inFolder(async (at) => {
      const kept = this.keyBefore();
      if (kept === undefined) writeKey(at('key'), newKey());
      const [common = 'mqtt2exist'] = all.filter((name) => name.length <= 64);
      writeFileSync(at('conf'), serverConfiguration(common, all));
      const request = ['req', '-new', '-sha256', '-key', kept ?? at('key'), '-config', at('conf')];
      await openssl([...request, '-out', at('csr')]);
      const how = ['-req', '-sha256', '-days', String(days), '-set_serial', serial()];
      const signer = ['-CA', ca, '-CAkey', caKey, '-extfile', at('conf'), '-extensions', 'server'];
      await openssl(['x509', ...how, ...signer, '-in', at('csr'), '-out', at('crt')]);
      if (kept === undefined) this.place(at('key'), key, renameSync);
      this.place(at('crt'), cert, renameSync);
    });
  }

  private daysLeft(): number {
    const read = readCertificate(this.files.ca);
    const left = Math.floor((Date.parse(read.validTo) - this.now) / DAY_MS);
    if (left >= 1) return left;
    throw new AuthorityError(
      `the authority in ${this.files.ca} expired on ${dayOf(Date.parse(read.validTo))}; move it and ${this.files.caKey} away for a new one (devices then need its certificate)`,
    );
  }

  /** A certificate that is not of this authority tells nothing. */
  private namesBefore(): string[] {
    const read = readText(this.files.cert, '');
    const found = 'text' in read ? certificatesIn(read.text) : read;
    if ('problem' in found || !signs(readCertificate(this.files.ca), found.chain[0])) return [];
    // Of IPv6 addresses a machine makes new ones every day.
    return namesOf(found.chain[0]).filter((name) => isIP(name) !== 6);
  }

  private keyBefore(): string | undefined {
    const { key } = this.files;
    if (!existsSync(key)) return undefined;
    const read = readText(key, 'move it away for a new one');
    const found = 'text' in read ? keyIn(read.text) : read;
    if ('problem' in found) throw new AuthorityError(`${key}: ${found.problem}; ${found.hint}`);
    return key;
  }

  private checkClock(): void {
    if (this.now >= SANE_MS) return;
    const day = dayOf(this.now);
    throw new AuthorityError(
      `the clock of this machine shows ${day}; set it first: certificates carry dates`,
    );
  }

  /** In a folder that nobody else can look into, gone afterwards. */
  private async inFolder(work: (at: (name: string) => string) => Promise<void>): Promise<void> {
    const folder = path.dirname(this.files.ca);
    let made: string | undefined;
    try {
      const own = mkdtempSync(path.join(folder, '.mqtt2exist-certificate-'));
      made = own;
      await work((name) => path.join(own, name));
    } catch (error) {
      const code = error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : '';
      if (!/^E[A-Z]+$/.test(code)) throw error;
      throw new AuthorityError(`files cannot be made in ${folder}: ${code}`, { cause: error });
    } finally {
      if (made !== undefined) rmSync(made, { recursive: true, force: true });
    }
  }

  /** A link fails where something is in its place; a rename replaces it. */
  private place(from: string, to: string, move: (from: string, to: string) => void): void {
    const descriptor = openSync(from, 'r');
    fsyncSync(descriptor);
    closeSync(descriptor);
    if (this.owner) chownSync(from, this.owner.uid, this.owner.gid);
    move(from, to);
  }
}

/** @throws AuthorityError */
export function readCertificate(file: string): X509Certificate {
  const read = readText(file, 'put it back');
  const found = 'text' in read ? certificatesIn(read.text) : read;
  if ('problem' in found) throw new AuthorityError(`${file}: ${found.problem}; ${found.hint}`);
  return found.chain[0];
}

function serverConfiguration(common: string, names: readonly string[]): string {
  const kinds = {
    DNS: names.filter((name) => isIP(name) === 0),
    IP: names.filter((name) => isIP(name) !== 0),
  };
  return [
    '[req]',
    'distinguished_name = name',
    'prompt = no',
    'string_mask = utf8only',
    '[name]',
    `CN = ${common}`,
    '[server]',
    'basicConstraints = critical, CA:FALSE',
    'keyUsage = critical, digitalSignature',
    'extendedKeyUsage = serverAuth',
    'subjectKeyIdentifier = hash',
    'authorityKeyIdentifier = keyid',
    'subjectAltName = @names',
    '[names]',
    ...Object.entries(kinds).flatMap(([kind, all]) =>
      all.map((name, index) => `${kind}.${index + 1} = ${name}`),
    ),
    '',
  ].join('\n');
}

/** P-256: what an ESP32 is quickest with. */
function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function writeKey(file: string, key: string): void {
  writeFileSync(file, key, { mode: 0o600 });
}

/** 126 random bits: positive, and never the same. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return `0x${bytes.toString('hex')}`;
}

/** For devices. */
export function pemOf(file: string): string {
  return readFileSync(file, 'utf8').trim();
}
