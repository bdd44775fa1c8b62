/**
 * All that the broker knows beyond its connections, and how it outlives them: read from the store once, written
 * behind, swept by the hour.
 *
 * States: new → running ⇄ stopped. What was in memory stays there between two runs of one process.
 */
import type { InletGate } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { Owners } from './owners.ts';
import { RetainedMessages } from './retained.ts';
import { Sessions } from './sessions.ts';
import { Staging } from './staging.ts';
import type { BrokerStore } from './store.ts';
import { Wills, type Will } from './wills.ts';
import { WriteBehind, type After } from './write-behind.ts';

export interface StateParts {
  readonly limits: BrokerLimits;
  readonly store: BrokerStore | undefined;
  readonly after: After;
  readonly owners: Owners;
  readonly gate: InletGate;
  readonly isConnected: (clientId: string) => boolean;
  readonly accountOf: (clientId: string) => string | undefined;
  readonly onRetainedDropped: (topic: string) => void;
  readonly onQueuedDropped: (clientId: string) => void;
  readonly onStored: () => void;
  readonly onUnstored: (error: unknown) => void;
}

const HOUR_MS = 3_600_000;

export class State {
  readonly changes: WriteBehind;
  readonly retained: RetainedMessages;
  readonly sessions: Sessions;
  readonly wills: Wills;
  readonly staging: Staging;
  private isLoaded = false;
  private readonly cancels = new Set<() => void>();

  constructor(private readonly parts: StateParts) {
    const { limits, isConnected, accountOf } = parts;
    const changes = new WriteBehind(parts);
    this.changes = changes;
    this.retained = new RetainedMessages(limits, changes);
    this.sessions = new Sessions({ limits, changes, isConnected, accountOf });
    this.wills = new Wills(changes);
    this.staging = new Staging({ ...parts, changes, retained: this.retained, sessions: this.sessions });
  }

  /** Before anybody connects. */
  load(): void {
    if (this.isLoaded) return;
    this.isLoaded = true;
    const stored = this.parts.store?.load();
    if (!stored) return;
    this.retained.restore(stored.retained);
    this.sessions.restore(stored);
    for (const [clientId, account] of this.sessions.owners()) this.parts.owners.restore(clientId, account);
    this.wills.restore(stored.wills);
    this.staging.restore(stored.exchanges);
    this.parts.gate.restore(stored.exchanges);
  }

  /** The broker listens. `publish` resolves once the will's reading is stored. */
  start(publish: (will: Will) => Promise<void>): void {
    this.later(HOUR_MS, () => this.passHour());
    if (this.wills.orphans().length === 0) return;
    this.later(this.parts.limits.willGraceMs, () => {
      for (const [clientId, will] of this.wills.orphans()) {
        void publish(will).then(
          () => this.wills.forgetOrphans((other) => other === clientId),
          this.parts.onUnstored,
        );
      }
    });
  }

  /** Nobody is connected any more. */
  stop(): void {
    for (const cancel of this.cancels) cancel();
    this.cancels.clear();
    this.changes.stop();
  }

  /** What these accounts left behind: their wills come to nothing. */
  expel(accounts: ReadonlySet<string | undefined>): void {
    this.wills.forgetOrphans((_clientId, account) => accounts.has(account));
  }

  private passHour(): void {
    this.sessions.passHour();
    this.later(HOUR_MS, () => this.passHour());
  }

  private later(delayMs: number, task: () => void): void {
    const cancel = this.parts.after(delayMs, () => {
      this.cancels.delete(cancel);
      task();
    });
    this.cancels.add(cancel);
  }
}
