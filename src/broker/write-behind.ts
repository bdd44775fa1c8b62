/**
 * What changed in the broker's state and is not on disk yet.
 *
 * The working set is in memory; here stands which rows of it are to be written, each at most once, however often it
 * changed since the last commit. Whoever owes somebody an acknowledgement waits for the commit (`whenStored`); all
 * else is written within seconds, or along with the next reading.
 *
 * ```
 *   clean ── a row changes ──▶ dirty ── a timer, or somebody waits ──▶ due ── the next turn ──▶ commit ─┬─▶ clean
 *                               ▲  └── a reading's commit takes it along ──▶ clean                      │
 *                               └───────────────────────── failed: who waited is told ◀────────────────┘
 * ```
 */
import type { QueuedMessage } from './outbox.ts';
import type {
  BrokerChanges,
  BrokerStore,
  ChangeSource,
  Delta,
  StoredExchange,
  StoredRetained,
  StoredSession,
  StoredSubscription,
  StoredWill,
  SubscriptionKey,
} from './store.ts';

/** Runs `task` once after `delayMs`; gives back how to call it off. */
export type After = (delayMs: number, task: () => void) => () => void;

export interface WriteBehindParts {
  /** `undefined`: nothing outlives the process, and nobody waits. */
  readonly store: BrokerStore | undefined;
  readonly after: After;
  readonly onStored: () => void;
  readonly onUnstored: (error: unknown) => void;
}

/** For what nobody was promised, such as retained messages with QoS 0: chatter must not wear the card. */
const LAZY_MS = 10_000;
/** For what would be repeated after a crash, or missed: acknowledgements of subscribers, wills. */
const PROMPT_MS = 1_000;
/** A commit that failed is tried again, if only for what nobody waits for. */
const RETRY_MS = 5_000;

/** The changed rows of one kind. */
class Rows<Key, Row> {
  private readonly changed = new Map<string | number, { readonly key: Key; readonly row: Row | undefined }>();

  constructor(
    private readonly idOf: (key: Key) => string | number,
    private readonly onChanged: () => boolean,
  ) {}

  get size(): number {
    return this.changed.size;
  }

  /** Until the commit `row` may go on changing: its latest state is what is written. */
  put(key: Key, row: Row): void {
    if (this.onChanged()) this.changed.set(this.idOf(key), { key, row });
  }

  remove(key: Key): void {
    if (this.onChanged()) this.changed.set(this.idOf(key), { key, row: undefined });
  }

  /** The row never was on disk, and need not come there. */
  forget(key: Key): void {
    this.changed.delete(this.idOf(key));
  }

  has(key: Key): boolean {
    return this.changed.has(this.idOf(key));
  }

  delta(): Delta<Key, Row> {
    const put: Row[] = [];
    const removed: Key[] = [];
    for (const { key, row } of this.changed.values()) {
      if (row === undefined) removed.push(key);
      else put.push(row);
    }
    return { put, removed };
  }

  clear(): void {
    this.changed.clear();
  }
}

export class WriteBehind implements ChangeSource {
  readonly sessions: Rows<string, StoredSession>;
  readonly subscriptions: Rows<SubscriptionKey, StoredSubscription>;
  readonly queue: Rows<number, QueuedMessage>;
  readonly retained: Rows<string, StoredRetained>;
  readonly wills: Rows<string, StoredWill>;
  readonly exchanges: Rows<StoredExchange, StoredExchange>;
  private readonly endedSessions = new Set<string>();
  private hours: number | undefined;
  /** Rises with each commit: what changed in one generation is durable once the next has begun. */
  private generation = 0;
  private readonly waiting: ((error?: Error) => void)[] = [];
  private readonly timers = new Map<number, () => void>();
  private isDue = false;

  constructor(private readonly parts: WriteBehindParts) {
    const onChanged = (): boolean => this.changed();
    const itself = <Key>(key: Key): Key => key;
    this.sessions = new Rows(itself<string>, onChanged);
    this.subscriptions = new Rows(({ clientId, filter }) => `${clientId}\0${filter}`, onChanged);
    this.queue = new Rows(itself<number>, onChanged);
    this.retained = new Rows(itself<string>, onChanged);
    this.wills = new Rows(itself<string>, onChanged);
    this.exchanges = new Rows(({ clientId, packetId }) => `${clientId}\0${packetId}`, onChanged);
    parts.store?.attach(this);
  }

  passHour(hours: number): void {
    if (this.changed()) this.hours = hours;
  }

  /** The session goes, with its subscriptions and its queue, of which these are left. */
  endSession(clientId: string, filters: Iterable<string>, queued: Iterable<number>): void {
    if (!this.changed()) return;
    for (const filter of filters) this.subscriptions.forget({ clientId, filter });
    for (const seq of queued) this.queue.forget(seq);
    this.sessions.forget(clientId);
    this.endedSessions.add(clientId);
    this.soon();
  }

  /** To be told to `whenStored` later: all that changed until now. */
  get mark(): number {
    return this.generation;
  }

  /** Calls `done` once what changed until `mark` was taken is durable, or with the reason why it is not. */
  whenStored(mark: number, done: (error?: Error) => void): void {
    if (mark < this.generation || !this.hasChanges()) {
      done();
      return;
    }
    this.waiting.push(done);
    this.soon();
  }

  /** Resolves once all changes until now are durable. */
  stored(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.whenStored(this.generation, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** Nobody waits, but it should not take long. */
  promptly(): void {
    if (this.hasChanges()) this.within(PROMPT_MS);
  }

  /** Writes now what is not written yet. */
  flush(): void {
    this.isDue = false;
    for (const cancel of this.timers.values()) cancel();
    this.timers.clear();
    if (!this.parts.store || !this.hasChanges()) return;
    try {
      this.parts.store.commit();
    } catch (error) {
      this.parts.onUnstored(error);
      this.within(RETRY_MS);
      this.settle(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** No timer runs on. */
  stop(): void {
    this.flush();
    for (const cancel of this.timers.values()) cancel();
    this.timers.clear();
  }

  changes(): BrokerChanges | undefined {
    if (!this.hasChanges()) return undefined;
    return {
      hours: this.hours,
      endedSessions: [...this.endedSessions],
      sessions: this.sessions.delta().put,
      subscriptions: this.subscriptions.delta(),
      queue: this.queue.delta(),
      retained: this.retained.delta(),
      wills: this.wills.delta(),
      exchanges: this.exchanges.delta(),
    };
  }

  committed(): void {
    for (const message of this.queue.delta().put) message.isStored = true;
    for (const rows of this.kinds()) rows.clear();
    this.endedSessions.clear();
    this.hours = undefined;
    this.generation += 1;
    this.parts.onStored();
    this.settle();
  }

  private kinds() {
    return [
      this.sessions,
      this.subscriptions,
      this.queue,
      this.retained,
      this.wills,
      this.exchanges,
    ] as const;
  }

  private hasChanges(): boolean {
    return (
      this.hours !== undefined || this.endedSessions.size > 0 || this.kinds().some((rows) => rows.size > 0)
    );
  }

  /** False where nothing is kept. */
  private changed(): boolean {
    if (!this.parts.store) return false;
    if (!this.isDue) this.within(LAZY_MS);
    return true;
  }

  /**
   * In the turn after the next: readings that came along are written in the next one, and take these changes into
   * their commit.
   */
  private soon(): void {
    if (this.isDue) return;
    this.isDue = true;
    setImmediate(() => setImmediate(() => this.isDue && this.flush()));
  }

  private within(delayMs: number): void {
    for (const other of this.timers.keys()) if (other <= delayMs) return;
    this.timers.set(
      delayMs,
      this.parts.after(delayMs, () => {
        this.timers.delete(delayMs);
        this.flush();
      }),
    );
  }

  /** Not at once: a commit of the readings' is in the middle of its work. */
  private settle(error?: Error): void {
    const waiting = this.waiting.splice(0);
    if (waiting.length === 0) return;
    queueMicrotask(() => {
      for (const done of waiting) done(error);
    });
  }
}

/** `After` by the timers of this process. */
export function afterwards(delayMs: number, task: () => void): () => void {
  const timer = setTimeout(task, delayMs);
  return () => {
    clearTimeout(timer);
  };
}
