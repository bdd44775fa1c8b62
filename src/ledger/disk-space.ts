/**
 * Sees to it that a full disk stops the readings before it stops the delivery.
 *
 * ```
 *   ROOMY ── free space under the floor, or a write met the full disk (the ballast is let go) ──▶ SHORT
 *     ▲                                                                                            │
 *     └────────────────── enough is free again, and the ballast is back in its place ──────────────┘
 * ```
 *
 * While SHORT no reading is taken: its sender gets no acknowledgement and keeps it. The delivery goes on, on the
 * space that the ballast gave back: what it writes is small, and it makes the database need less.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { DatabaseError } from './database-error.ts';
import { BALLAST_FILE, sizeOf, syncFolder } from './files.ts';

const MIB = 1_048_576;

export interface SpaceLimits {
  /** 0 for none. */
  readonly ballastBytes: number;
  /** Below it no reading is taken. */
  readonly floorBytes: number;
  /** From it on they are taken again; above the floor by more than the ballast, or it would be short at once. */
  readonly resumeBytes: number;
}

/** A call to Exist writes a few pages of 4 kB; a checkpoint of the WAL up to 100 of them: 1 MiB carries dozens. */
export const SPACE_LIMITS: SpaceLimits = { ballastBytes: MIB, floorBytes: 2 * MIB, resumeBytes: 8 * MIB };

export class DiskSpace {
  private short = false;
  private readonly ballast: string;
  private readonly limits: SpaceLimits;

  constructor(
    private readonly folder: string,
    limits: Partial<SpaceLimits> = {},
  ) {
    this.ballast = path.join(folder, BALLAST_FILE);
    this.limits = { ...SPACE_LIMITS, ...limits };
  }

  get isShort(): boolean {
    return this.short;
  }

  /** Bytes a process without privileges may still write; `undefined` where the system does not tell. */
  freeBytes(): number | undefined {
    try {
      const { bavail, bsize } = statfsSync(this.folder);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  }

  /** Looks again; cheap enough for every group of readings. Gives back `isShort`. */
  check(): boolean {
    const free = this.freeBytes();
    const { floorBytes, resumeBytes } = this.limits;
    const needed = this.short ? Math.max(floorBytes, resumeBytes) : floorBytes;
    this.short = (free !== undefined && free < needed) || (this.short && !this.putBallast());
    return this.short;
  }

  /** At the start. Without its ballast it was short when the last run ended, or never had any. */
  prepare(): void {
    this.short = !this.hasBallast();
    this.check();
  }

  /** A write met the full disk. `true` where something could be let go, so that another try is worth it. */
  release(): boolean {
    this.short = true;
    if (sizeOf(this.ballast) === undefined) return false;
    try {
      rmSync(this.ballast);
      return true;
    } catch {
      return false;
    }
  }

  /** @throws DatabaseError where no reading may be taken. */
  demand(): void {
    if (!this.check()) return;
    const hint = 'free some space; readings are taken again by themselves once there is some';
    throw new DatabaseError('full', this.folder, 'the disk is nearly full: no readings are taken', hint);
  }

  private hasBallast(): boolean {
    const { ballastBytes } = this.limits;
    return ballastBytes === 0 || sizeOf(this.ballast) === ballastBytes;
  }

  private putBallast(): boolean {
    if (this.hasBallast()) return true;
    const { ballastBytes } = this.limits;
    try {
      const descriptor = openSync(this.ballast, 'w', 0o600);
      try {
        // Noise, since some file systems keep zeros for nothing.
        const noise = randomBytes(ballastBytes);
        for (let written = 0; written < ballastBytes;) written += writeSync(descriptor, noise, written);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      syncFolder(this.folder);
      return true;
    } catch {
      rmSync(this.ballast, { force: true });
      return false;
    }
  }
}
