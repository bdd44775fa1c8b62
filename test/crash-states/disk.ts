/**
 * A disk that was told to write: what was synced is there, and of all else nobody knows. A state is one way in which
 * a power cut may leave it: each write since the last sync of its file is there, is not, or is there in part, by
 * sectors; files that were made or removed since the folder was synced are there or not.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Random } from '../simulation/random.ts';
import type { Operation } from './recording.ts';

const SECTOR = 512;

type Change = Extract<Operation, { kind: 'write' | 'truncate' }>;

interface File {
  durable: Buffer;
  pending: Change[];
  /** Its name is on disk: it was synced, or the folder was, since it was made. */
  isNamed: boolean;
}

export class Disk {
  private files = new Map<string, File>();
  /** Removed, and the folder was not synced since. */
  private removed = new Map<string, File>();

  take(operation: Operation): void {
    switch (operation.kind) {
      case 'create':
        this.files.set(operation.file, { durable: Buffer.alloc(0), pending: [], isNamed: false });
        break;
      case 'write':
      case 'truncate':
        this.file(operation.file).pending.push(operation);
        break;
      case 'sync': {
        const file = this.file(operation.file);
        file.durable = file.pending.reduce(applied, file.durable);
        file.pending = [];
        file.isNamed = true;
        break;
      }
      case 'sync-folder':
        for (const file of this.files.values()) file.isNamed = true;
        this.removed.clear();
        break;
      case 'remove': {
        const file = this.files.get(operation.file);
        this.files.delete(operation.file);
        if (file?.isNamed) this.removed.set(operation.file, file);
        break;
      }
      case 'rename': {
        const file = this.file(operation.file);
        this.files.delete(operation.file);
        this.files.set(operation.to, file);
        break;
      }
      case 'told':
        break;
    }
  }

  /** Writes one of the states into `folder`, which is made. */
  crash(folder: string, random: Random): void {
    mkdirSync(folder, { recursive: true });
    for (const [name, file] of this.removed) {
      if (!this.files.has(name) && random.chance(0.5)) this.leave(path.join(folder, name), file, random);
    }
    for (const [name, file] of this.files) {
      if (file.isNamed || random.chance(0.5)) this.leave(path.join(folder, name), file, random);
    }
  }

  private leave(name: string, { durable, pending }: File, random: Random): void {
    // Now and then all or nothing of it, which is what happens most.
    const luck = random.pick([0, 0.5, 0.5, 0.9, 1]);
    let bytes = durable;
    for (const change of pending) {
      if (random.chance(luck)) bytes = applied(bytes, change);
      else if (change.kind === 'write' && random.chance(0.3)) bytes = torn(bytes, change, random);
    }
    writeFileSync(name, bytes);
  }

  private file(name: string): File {
    let file = this.files.get(name);
    if (!file) {
      file = { durable: Buffer.alloc(0), pending: [], isNamed: false };
      this.files.set(name, file);
    }
    return file;
  }
}

function applied(before: Buffer, change: Change): Buffer {
  if (change.kind === 'truncate') {
    const after = Buffer.alloc(change.length);
    before.copy(after, 0, 0, change.length);
    return after;
  }
  const { at, bytes } = change;
  const after = Buffer.alloc(Math.max(before.length, at + bytes.length));
  before.copy(after);
  bytes.copy(after, at);
  return after;
}

function torn(before: Buffer, { at, bytes }: Extract<Change, { kind: 'write' }>, random: Random): Buffer {
  let after = before;
  for (let from = 0; from < bytes.length; from += SECTOR) {
    const sector = bytes.subarray(from, from + SECTOR);
    if (random.chance(0.5)) after = applied(after, { kind: 'write', file: '', at: at + from, bytes: sector });
  }
  return after;
}
