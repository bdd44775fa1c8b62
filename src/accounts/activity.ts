/**
 * What was seen of each account: when, from where, how much. Kept in memory, and now and then in a file, so that a
 * restart does not forget which device has been silent for a week.
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { DeviceStatus } from '../core/device-status.ts';
import { SECOND_MS } from '../core/time.ts';
import type { ListedAccount } from './listed-account.ts';

export interface Seen {
  connections: number;
  lastSeenAtMs: number | null;
  address: string | null;
  messages: number;
  refusedReadings: number;
  denied: number;
}

const fileSchema = z.object({
  version: z.literal(1),
  accounts: z.array(
    z.object({
      name: z.string(),
      last_seen_ms: z.number().nullable(),
      address: z.string().nullable(),
      messages: z.number().int().nonnegative(),
      refused_readings: z.number().int().nonnegative(),
      denied: z.number().int().nonnegative(),
    }),
  ),
});

/** Where the daemon keeps it. */
export function activityFileOf(dataDir: string): string {
  return path.join(dataDir, 'devices-seen.json');
}

/** More than there can be accounts: those that are gone are dropped when the file is written. */
const MOST_ACCOUNTS = 4_000;

export class Activity {
  private readonly accounts = new Map<string, Seen>();
  private isChanged = false;

  constructor(
    private readonly file: string,
    private readonly nowMs: () => number,
  ) {}

  /**
   * A file that is not there or not sound begins anew: it holds nothing that is needed.
   * @returns when it was written, in ms since the epoch; `undefined` where there is nothing to go by
   */
  load(): number | undefined {
    let content: unknown;
    let writtenAtMs: number;
    try {
      content = JSON.parse(readFileSync(this.file, 'utf8'));
      writtenAtMs = statSync(this.file).mtimeMs;
    } catch {
      return undefined;
    }
    const parsed = fileSchema.safeParse(content);
    if (!parsed.success) return undefined;
    for (const account of parsed.data.accounts.slice(0, MOST_ACCOUNTS)) {
      this.accounts.set(account.name, {
        connections: 0,
        lastSeenAtMs: account.last_seen_ms,
        address: account.address,
        messages: account.messages,
        refusedReadings: account.refused_readings,
        denied: account.denied,
      });
    }
    return writtenAtMs;
  }

  /**
   * Writes what is known of `names`, and forgets the others. Not synced: what a power cut takes are figures.
   * @throws Error of the file system
   */
  save(names: ReadonlySet<string>): void {
    for (const [name, { connections }] of this.accounts) {
      if (!names.has(name) && connections === 0) this.accounts.delete(name);
    }
    if (!this.isChanged) return;
    const content: z.input<typeof fileSchema> = {
      version: 1,
      accounts: Array.from(this.accounts, ([name, seen]) => ({
        name,
        last_seen_ms: seen.connections > 0 ? this.nowMs() : seen.lastSeenAtMs,
        address: seen.address,
        messages: seen.messages,
        refused_readings: seen.refusedReadings,
        denied: seen.denied,
      })),
    };
    const beside = `${this.file}.new`;
    writeFileSync(beside, `${JSON.stringify(content)}\n`, { mode: 0o600 });
    renameSync(beside, this.file);
    this.isChanged = false;
  }

  /** A removed account leaves nothing to another of its name. */
  forget(name: string): void {
    const seen = this.accounts.get(name);
    if (!seen) return;
    this.isChanged = true;
    if (seen.connections === 0) this.accounts.delete(name);
    else this.accounts.set(name, { ...nothing(), connections: seen.connections });
  }

  connected(name: string, address: string): void {
    const seen = this.touch(name);
    seen.connections += 1;
    seen.address = address;
  }

  disconnected(name: string): void {
    const seen = this.touch(name);
    seen.connections = Math.max(0, seen.connections - 1);
  }

  published(name: string): void {
    this.touch(name).messages += 1;
  }

  denied(name: string): void {
    this.touch(name).denied += 1;
  }

  refusedReading(name: string): void {
    this.touch(name).refusedReadings += 1;
  }

  of(name: string): Readonly<Seen> {
    const seen = this.accounts.get(name) ?? nothing();
    return seen.connections > 0 ? { ...seen, lastSeenAtMs: this.nowMs() } : seen;
  }

  private touch(name: string): Seen {
    this.isChanged = true;
    let seen = this.accounts.get(name);
    if (!seen) {
      seen = nothing();
      this.accounts.set(name, seen);
    }
    seen.lastSeenAtMs = this.nowMs();
    return seen;
  }
}

/** An account, and what was seen of it. */
export function deviceStatus(
  { name, silentAfterMs }: Pick<ListedAccount, 'name' | 'silentAfterMs'>,
  source: DeviceStatus['source'],
  seen: Readonly<Seen>,
): DeviceStatus {
  return {
    name,
    source,
    connections: seen.connections,
    last_seen: seen.lastSeenAtMs === null ? null : new Date(seen.lastSeenAtMs).toISOString(),
    address: seen.address,
    messages: seen.messages,
    refused_readings: seen.refusedReadings,
    denied: seen.denied,
    silent_after_s: silentAfterMs === undefined ? null : silentAfterMs / SECOND_MS,
  };
}

function nothing(): Seen {
  return { connections: 0, lastSeenAtMs: null, address: null, messages: 0, refusedReadings: 0, denied: 0 };
}
