/**
 * Wakes the states that time alone moves: a hold that ends, a duration that runs, midnight.
 */
import { dueAt, tick } from '../core/mapping/engine.ts';
import { corrected } from '../core/mapping/mapping-state.ts';
import type { EpochMs } from '../core/time.ts';
import { stateId, type Changed, type Interpreter } from './interpreter.ts';
import type { IntakeParts } from './ports.ts';

/** Ticks that could not be written down are tried again after this. */
const RETRY_MS = 5_000;

export class Timers<Parsed> {
  private readonly due = new Map<string, { mapping: string; topic: string; dueAt: EpochMs }>();
  private cancel: (() => void) | undefined;
  private wakesAt: EpochMs | undefined;
  /** The zone whose midnights `due` knows. */
  private zone: string | undefined;

  constructor(
    private readonly parts: IntakeParts<Parsed>,
    private readonly interpreter: Interpreter<Parsed>,
  ) {}

  stop(): void {
    this.set(undefined);
    this.due.clear();
  }

  schedule(changed: Changed): void {
    if (changed.size === 0) return;
    for (const [id, { mapping, topic, dueAt }] of changed) {
      if (dueAt === undefined) this.due.delete(id);
      else this.due.set(id, { mapping, topic, dueAt });
    }
    this.arm();
  }

  /** Sets the one timer to the earliest state that is due. Until time and zone are known, nothing is. */
  arm(): void {
    const zone = this.parts.zone();
    if (zone === undefined) return;
    if (zone !== this.zone) this.take(zone);
    let earliest: EpochMs | undefined;
    for (const { mapping, dueAt } of this.due.values()) {
      if (this.interpreter.mapping(mapping) && (earliest === undefined || dueAt < earliest)) earliest = dueAt;
    }
    this.set(earliest);
  }

  /** The clock was wrong by so much since `from`: the instants that it told are moved. */
  correct(byMs: number, from: EpochMs): void {
    const { journal } = this.parts;
    try {
      journal.transact(() => {
        for (const { mapping: key, topic, state } of journal.storedStates()) {
          const mapping = this.interpreter.mapping(key);
          const right = corrected(state, byMs, from);
          if (mapping) journal.putState(key, topic, right, dueAt(mapping, right, this.zone ?? 'UTC'));
        }
      });
    } catch (error) {
      this.parts.onFault(error);
    }
    // All is looked at anew as soon as the time is known.
    this.zone = undefined;
  }

  /** Midnights lie elsewhere in another zone. */
  private take(zone: string): void {
    const { journal } = this.parts;
    this.zone = zone;
    this.due.clear();
    for (const { mapping: key, topic } of journal.due()) {
      const mapping = this.interpreter.mapping(key);
      const at = mapping && dueAt(mapping, journal.state(key, topic), zone);
      if (at !== undefined) this.due.set(stateId(key, topic), { mapping: key, topic, dueAt: at });
    }
  }

  private set(instant: EpochMs | undefined): void {
    if (instant === this.wakesAt) return;
    this.cancel?.();
    this.wakesAt = instant;
    this.cancel =
      instant === undefined
        ? undefined
        : this.parts.clock.at(instant, () => {
            this.wakesAt = undefined;
            this.tick();
          });
  }

  private tick(): void {
    const zone = this.parts.zone();
    if (zone === undefined) return;
    const { journal, clock } = this.parts;
    const now = clock.now();
    const changed: Changed = new Map();
    let contributed: boolean;
    try {
      contributed = journal.transact(() => {
        let isContribution = false;
        for (const due of this.due.values()) {
          const isDue = due.dueAt <= now;
          isContribution =
            (isDue && this.tickOne(due.mapping, due.topic, now, zone, changed)) || isContribution;
        }
        return isContribution;
      });
    } catch (error) {
      this.parts.onFault(error);
      this.set((now + RETRY_MS) as EpochMs);
      return;
    }
    for (const [id, { dueAt }] of this.due) if (dueAt <= now && !changed.has(id)) this.due.delete(id);
    this.schedule(changed);
    this.arm();
    if (contributed) this.parts.onContributions();
  }

  private tickOne(key: string, topic: string, now: EpochMs, zone: string, changed: Changed): boolean {
    const { journal } = this.parts;
    const mapping = this.interpreter.mapping(key);
    const state = mapping && journal.state(key, topic);
    if (!state) return false;
    const { state: next, contributions } = tick(mapping, state, now, zone);
    this.interpreter.remember(mapping, topic, next ?? state, zone, changed);
    if (contributions.length === 0) return false;
    const nothing = { delivery: undefined, reason: undefined, sample: undefined };
    journal.add({ receivedAt: now, topic, verdict: 'timer', contributions, ...nothing });
    return true;
  }
}
