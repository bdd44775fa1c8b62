/**
 * Keeps what listeners show as the files have it: looks at them every second, tells when they hold another certificate,
 * and warns before it expires.
 *
 * States: idle → watching → idle. While watching, files are: as read → changed (seen once) → settled (seen twice alike:
 * read now; a certificate and its key are not replaced in the same instant) → as read, used or not.
 */
import { statSync } from 'node:fs';
import { DAY_MS, SECOND_MS, type EpochMs } from '../core/time.ts';
import { dayOf } from './pem.ts';
import {
  readServerCertificate,
  type CertificateFiles,
  type ServerCertificate,
} from './server-certificate.ts';

const LOOK_EVERY_MS = SECOND_MS;
/** It expires so soon that something should be done. */
const SOON_MS = 30 * DAY_MS;

export interface ServedCertificateParts {
  readonly clock: {
    readonly now: () => EpochMs;
    /** @returns what takes the task back */
    readonly after: (delayMs: number, task: () => void) => () => void;
  };
  readonly isTimeKnown: () => boolean;
  /** There is a first or another certificate. */
  readonly onCertificate: (identity: ServerCertificate['identity']) => void;
  readonly log: (
    level: 'info' | 'warn' | 'error',
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
}

/** The files are of no use, and there is nothing else to show. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
}

export class ServedCertificate {
  private certificate: ServerCertificate | undefined;
  /** What the files looked like when they were read, and when they were looked at last. */
  private readStamp = '';
  private seenStamp = '';
  private warnedAt = -Infinity as EpochMs;
  private cancel: (() => void) | undefined;

  constructor(
    private readonly parts: ServedCertificateParts,
    private files: CertificateFiles,
  ) {}

  /** @throws CertificateError */
  start(): void {
    const problem = this.read();
    if (problem !== undefined) throw new CertificateError(problem);
    this.warn();
    this.lookLater();
  }

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  /** These are the files from now on. What is in them is read at once; where it is of no use, all stays as it was. */
  use(files: CertificateFiles): void {
    this.files = files;
    this.readAgain();
  }

  /** For the status. */
  get shown(): Pick<ServerCertificate, 'validUntil' | 'names'> | undefined {
    return this.certificate;
  }

  /** In a sentence; `undefined` where all is well. */
  get trouble(): string | undefined {
    const { certificate } = this;
    if (!certificate || !this.parts.isTimeKnown()) return undefined;
    const { validFrom, validUntil } = certificate;
    const now = this.parts.clock.now();
    const renew = '`mqtt2exist certificate` renews those it has made';
    if (validUntil <= now) {
      return `the broker's certificate expired on ${dayOf(validUntil)}: clients refuse it; ${renew}`;
    }
    if (validUntil - now < SOON_MS) {
      const days = Math.floor((validUntil - now) / DAY_MS);
      const left = days === 0 ? 'today' : days === 1 ? 'in 1 day' : `in ${days} days`;
      return `the broker's certificate expires ${left} (${dayOf(validUntil)}); ${renew}`;
    }
    if (validFrom - DAY_MS > now) {
      return `the broker's certificate is not valid before ${dayOf(validFrom)}: clients refuse it; is the clock right?`;
    }
    return undefined;
  }

  private look(): void {
    const stamp = stampOf(this.files);
    if (stamp !== this.readStamp && stamp === this.seenStamp) this.readAgain();
    this.seenStamp = stamp;
    if (this.parts.clock.now() - this.warnedAt >= DAY_MS) this.warn();
    this.lookLater();
  }

  private lookLater(): void {
    this.cancel = this.parts.clock.after(LOOK_EVERY_MS, () => {
      this.look();
    });
  }

  private readAgain(): void {
    const before = this.certificate;
    const problem = this.read();
    if (problem !== undefined) {
      this.parts.log('error', `${problem}; the certificate stays as it was`);
    } else if (this.certificate !== before && this.certificate) {
      const { validUntil, names } = this.certificate;
      this.parts.log('info', 'another certificate is shown from now on', {
        valid_until: dayOf(validUntil),
        names: names.join(' '),
      });
      this.warn();
    }
  }

  /** @returns why it is of no use */
  private read(): string | undefined {
    const { clock, onCertificate } = this.parts;
    this.readStamp = stampOf(this.files);
    const read = readServerCertificate(this.files, clock.now());
    if ('problems' in read) {
      const lines = read.problems.map(
        ({ at, problem, hint }) => `${this.files[at] ?? at}: ${problem}; ${hint}`,
      );
      return `the certificate of the listeners cannot be used: ${lines.join('; ')}`;
    }
    const { certificate } = read;
    if (JSON.stringify(certificate) === JSON.stringify(this.certificate)) return undefined;
    this.certificate = certificate;
    onCertificate(certificate.identity);
    return undefined;
  }

  private warn(): void {
    const { trouble } = this;
    if (trouble === undefined) return;
    this.warnedAt = this.parts.clock.now();
    this.parts.log('warn', trouble);
  }
}

/** Differs once a file has been written or replaced. */
function stampOf(files: CertificateFiles): string {
  return [files.cert, files.key, files.ca]
    .map((file) => (file === undefined ? '' : stampOfOne(file)))
    .join(' ');
}

function stampOfOne(file: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(file, { bigint: true });
    return `${ino}-${size}-${mtimeNs}`;
  } catch {
    return 'none';
  }
}
