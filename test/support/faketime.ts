/** A wall clock for other processes that a test moves, by libfaketime; their monotonic clock stays the machine's. */
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const LIBRARY = findLibrary();

/** Why tests that need it are skipped, where they are. */
export const NO_FAKETIME: string | undefined =
  LIBRARY === undefined ? 'libfaketime is not installed here' : undefined;

export class FakeClock {
  private readonly file: string;

  /** Shows the machine's time, moved by `byMs`. */
  constructor(folder: string, byMs: number) {
    this.file = path.join(folder, 'faketime');
    this.moveTo(byMs);
  }

  /** One that shows `iso` now and goes on from there. */
  static at(folder: string, iso: string): FakeClock {
    return new FakeClock(folder, Date.parse(iso) - Date.now());
  }

  /** How far the clock is from the machine's from now on. */
  moveTo(byMs: number): void {
    const seconds = (byMs / 1_000).toFixed(3);
    // Read at any instant: whole, or as it was.
    writeFileSync(`${this.file}.new`, `${byMs < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.file}.new`, this.file);
  }

  /** For the processes that are to live by it. */
  get env(): Record<string, string> {
    return {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }
}

function findLibrary(): string | undefined {
  const folders = existsSync('/usr/lib')
    ? readdirSync('/usr/lib').map((name) => `/usr/lib/${name}/faketime`)
    : [];
  return folders.map((folder) => `${folder}/libfaketimeMT.so.1`).find((file) => existsSync(file));
}
