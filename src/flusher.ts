/**
 * Carries out what `core/delivery` decides: loads the state, lets the reducer decide, writes the decision, makes
 * the one call it names, and feeds the outcome back. Knows no rule of its own.
 */
import type { CallRecord, Decision, Note } from './core/delivery/draft.ts';
import type { Outcome } from './core/delivery/outcome.ts';
import { flushAllowedAt } from './core/delivery/pace.ts';
import type { Answer, Request } from './core/delivery/request.ts';
import { objectionTo, type Refusal, type Settlement } from './core/delivery/settlement.ts';
import type { Account, DeliveryState, Settings } from './core/delivery/state.ts';
import { step, type Event } from './core/delivery/step.ts';
import { SECOND_MS, type EpochMs } from './core/time.ts';

/** A full disk is tried again after this. */
const STORE_RETRY_MS = 10 * SECOND_MS;

const UNWRITTEN: Refusal = { kind: 'unwritten', reason: 'the disk is full; nothing was settled' };

export interface FlusherParts {
  readonly store: {
    transact(decide: (state: DeliveryState) => Decision, now: EpochMs): Decision;
    /** To be durable before a call leaves. */
    depart(callId: number): void;
    account(): Account;
    load(): DeliveryState;
  };
  readonly exist: {
    /** One HTTP exchange; never rejects. */
    call(request: Request): Promise<Outcome<Answer>>;
  };
  readonly clock: {
    now(): EpochMs;
    /** Runs `task` at `instant`; gives back how to call it off. */
    at(instant: EpochMs, task: () => void): () => void;
  };
  /** In [0, 1). */
  readonly random: () => number;
  /** Whether instants can be trusted; while they cannot, nothing is sent. */
  readonly isTimeKnown: () => boolean;
  readonly onNote: (note: Note) => void;
  /** A call has come to its end, whichever. */
  readonly onFinished: (call: CallRecord) => void;
  readonly onDecision: (account: Account) => void;
  /** Whether a store that failed will work again by itself: the disk is full. */
  readonly isPassing: (error: unknown) => boolean;
  /** The store failed: the daemon cannot go on. */
  readonly onFault: (error: unknown) => void;
}

export class Flusher {
  private cancelWake: (() => void) | undefined;
  private wakesAt: EpochMs | undefined;
  private account: Account;
  private isStarted = false;
  /** What the last run left has been taken up. */
  private hasBegun = false;
  private isOver = false;
  /** What happened and is not decided upon yet: one, but while the store does not take anything. */
  private readonly events: Event[] = [];
  private underWay: Promise<void> = Promise.resolve();
  /** Why nothing can be written any more. */
  private fault: Error | undefined;

  constructor(
    private readonly parts: FlusherParts,
    private settings: Settings,
  ) {
    this.account = parts.store.account();
  }

  /** Takes up where the last run ended: a call it left without an answer is in doubt now. */
  start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.timeKnown();
  }

  /**
   * Begins no call any more, and gives the one on its way until `patienceMs` to be answered. Later its outcome is
   * unknown, and the next start reads it back.
   */
  async stop(patienceMs: number): Promise<void> {
    this.isStarted = false;
    this.cancelWake?.();
    this.cancelWake = undefined;
    const { clock } = this.parts;
    let callOff: (() => void) | undefined;
    const patience = new Promise<void>((resolve) => {
      callOff = clock.at((clock.now() + patienceMs) as EpochMs, resolve);
    });
    await Promise.race([this.underWay, patience]);
    callOff?.();
    this.isOver = true;
  }

  get state(): Account {
    return this.account;
  }

  /** When contributions that come now will be flushed at the earliest. */
  nextFlushAt(): EpochMs {
    const lingeredAt = this.parts.clock.now() + this.settings.lingerMs;
    return Math.max(lingeredAt, flushAllowedAt(this.account, this.settings)) as EpochMs;
  }

  /** Contributions are in the ledger: see to it that they leave in time. */
  contributed(): void {
    if (!this.isStarted || this.account.call) return;
    const dueAt = this.nextFlushAt();
    if (this.wakesAt === undefined || dueAt < this.wakesAt) this.wakeAt(dueAt);
  }

  /** Time may be known now, for the first time or again. */
  timeKnown(): void {
    if (!this.isStarted || !this.parts.isTimeKnown()) return;
    const type = this.hasBegun ? 'wake' : 'started';
    this.hasBegun = true;
    this.dispatch({ type });
  }

  /** The clock was wrong by so much. */
  timeCorrected(byMs: number): void {
    if (this.hasBegun) this.dispatch({ type: 'corrected', byMs });
  }

  /** Another configuration or token: what was on hold is tried at once. */
  reconfigure(settings: Settings): void {
    this.settings = settings;
    if (this.isStarted && this.parts.isTimeKnown()) this.dispatch({ type: 'reloaded' });
  }

  /** There is another access token: what was held for want of one is tried at once. */
  authorised(): void {
    this.dispatch({ type: 'authorised' });
  }

  /**
   * Carries out what the user decided; when it returns, that is on disk. Else it says why not, and nothing of it is
   * done later.
   * @throws what the store throws where it fails for good
   */
  settle(settlement: Settlement): Refusal | undefined {
    // What happened before comes first.
    this.decideAll();
    if (this.fault !== undefined) throw this.fault;
    if (this.events.length > 0) return UNWRITTEN;
    const objection = objectionTo(this.parts.store.load(), settlement);
    if (objection) return objection;
    let decision: Decision;
    try {
      decision = this.write({ type: 'settled', settlement });
    } catch (error) {
      if (this.parts.isPassing(error)) return UNWRITTEN;
      this.fail(error);
      throw error;
    }
    this.carryOut(decision);
    return undefined;
  }

  private dispatch(event: Event): void {
    this.events.push(event);
    this.decideAll();
  }

  private decideAll(): void {
    for (let event = this.events[0]; event; event = this.events[0]) {
      if (!this.decide(event)) return;
      this.events.shift();
    }
  }

  /** Whether the decision could be written. */
  private decide(event: Event): boolean {
    let decision: Decision;
    try {
      decision = this.write(event);
    } catch (error) {
      this.callOffWake();
      if (this.parts.isPassing(error)) this.decideLater(this.parts.clock.now());
      else this.fail(error);
      return false;
    }
    this.carryOut(decision);
    return true;
  }

  /** Puts the decision on disk. @throws what the store throws; nothing is decided then */
  private write(event: Event): Decision {
    const { store, clock, random } = this.parts;
    const now = clock.now();
    const beginsNothing = !this.isStarted || !this.parts.isTimeKnown();
    const circumstances = { settings: this.settings, now, random: random(), beginsNothing };
    return store.transact((state) => step(state, event, circumstances), now);
  }

  private carryOut(decision: Decision): void {
    this.callOffWake();
    this.account = decision.account;
    if (decision.finished) this.parts.onFinished(decision.finished);
    for (const note of decision.notes) this.parts.onNote(note);
    this.parts.onDecision(decision.account);
    if (decision.call) this.underWay = this.call(decision.call);
    else if (decision.wakeAt !== undefined) this.wakeAt(decision.wakeAt);
  }

  private callOffWake(): void {
    this.cancelWake?.();
    this.cancelWake = undefined;
    this.wakesAt = undefined;
  }

  /** What happened is kept in its order. Should the process end before it is written, its outcome is unknown. */
  private decideLater(now: EpochMs): void {
    if (!this.isStarted) return;
    // Nothing that comes in between is due sooner.
    this.wakesAt = now;
    this.cancelWake = this.parts.clock.at((now + STORE_RETRY_MS) as EpochMs, () => {
      this.decideAll();
    });
  }

  private async call({ id, request }: NonNullable<Decision['call']>): Promise<void> {
    const outcome = await (this.cannotDepart(id) ?? this.parts.exist.call(request));
    if (!this.isOver) this.dispatch({ type: 'answered', callId: id, outcome });
  }

  /** Why the call does not leave: a full disk, which is tried again as an Exist that cannot be reached is. */
  private cannotDepart(callId: number): Outcome<Answer> | undefined {
    const { store, isPassing } = this.parts;
    try {
      store.depart(callId);
      return undefined;
    } catch (error) {
      if (!isPassing(error)) this.fail(error);
      const why = isPassing(error) ? 'there is no space' : String(error);
      return { kind: 'not-sent', cause: 'network', message: `it cannot be noted that it is sent: ${why}` };
    }
  }

  /** The store fails for good: told once. */
  private fail(error: unknown): void {
    if (this.fault !== undefined) return;
    this.fault = error instanceof Error ? error : new Error(String(error));
    this.parts.onFault(error);
  }

  private wakeAt(instant: EpochMs): void {
    if (!this.isStarted) return;
    this.cancelWake?.();
    this.wakesAt = instant;
    this.cancelWake = this.parts.clock.at(instant, () => {
      if (this.isStarted && this.parts.isTimeKnown()) this.dispatch({ type: 'wake' });
    });
  }
}
