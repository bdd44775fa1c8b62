/**
 * How far the sending has come, in a file of its own: the bridge's id and the number of the last call to Exist.
 *
 * A database that knows fewer calls than this file is an older copy of itself: put back by hand, or fallen back
 * because the disk lost what it had confirmed. What it takes for unsent may have been sent long ago.
 *
 * The number is written after the call's intent is committed and before the call leaves; so it is never ahead of
 * a healthy database, whatever instant the power goes.
 *
 * Two slots of 16 bytes, in different sectors, written in turn: a torn write spoils the newer one only, and its
 * call has not left yet. A slot: CRC-32 of the rest, bridge id, call number (64 bits), big-endian.
 */
import { closeSync, fsyncSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { MARK_FILE, exists, syncFolder } from './files.ts';

const SLOT_BYTES = 16;
const SLOT_OFFSETS = [0, 512] as const;

export interface Mark {
  /** Eight hexadecimal digits. */
  readonly bridgeId: string;
  readonly lastCallId: number;
}

export class SendMark {
  private descriptor: number | undefined;
  private readonly file: string;

  constructor(private readonly folder: string) {
    this.file = path.join(folder, MARK_FILE);
  }

  /** What the file says; `unreadable` where it is there and says nothing. */
  read(): Mark | 'missing' | 'unreadable' {
    if (!exists(this.file)) return 'missing';
    const descriptor = openSync(this.file, 'r');
    try {
      let latest: Mark | undefined;
      for (const offset of SLOT_OFFSETS) {
        const mark = readSlot(descriptor, offset);
        if (mark && (!latest || mark.lastCallId > latest.lastCallId)) latest = mark;
      }
      return latest ?? 'unreadable';
    } finally {
      closeSync(descriptor);
    }
  }

  /** Durable when it returns. Overwrites in place, so a full disk does not stop it. */
  advance(mark: Mark): void {
    this.descriptor ??= openSync(this.file, exists(this.file) ? 'r+' : 'w+', 0o600);
    writeSlots(this.descriptor, mark, [SLOT_OFFSETS[mark.lastCallId % 2 === 0 ? 0 : 1]]);
  }

  /** Says it in both slots: for another bridge id, or a number that went back. A file that is half made says nothing. */
  reset(mark: Mark): void {
    this.close();
    const fresh = `${this.file}.new`;
    const descriptor = openSync(fresh, 'w', 0o600);
    try {
      writeSlots(descriptor, mark, SLOT_OFFSETS);
    } finally {
      closeSync(descriptor);
    }
    renameSync(fresh, this.file);
    syncFolder(this.folder);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}

function writeSlots(descriptor: number, { bridgeId, lastCallId }: Mark, offsets: readonly number[]): void {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.write(bridgeId, 4, 'hex');
  slot.writeBigUInt64BE(BigInt(lastCallId), 8);
  slot.writeUInt32BE(crc32(slot.subarray(4)), 0);
  for (const offset of offsets) writeSync(descriptor, slot, 0, SLOT_BYTES, offset);
  fsyncSync(descriptor);
}

function readSlot(descriptor: number, offset: number): Mark | undefined {
  const slot = Buffer.alloc(SLOT_BYTES);
  if (readSync(descriptor, slot, 0, SLOT_BYTES, offset) !== SLOT_BYTES) return undefined;
  if (slot.readUInt32BE(0) !== crc32(slot.subarray(4))) return undefined;
  return { bridgeId: slot.toString('hex', 4, 8), lastCallId: Number(slot.readBigUInt64BE(8)) };
}
