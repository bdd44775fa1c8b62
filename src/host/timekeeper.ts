/**
 * What time it is, and whether that is known.
 *
 * ```
 *              the system's evidence, or Exist's word
 *   UNKNOWN ────────────────────────────────────────────▶ KNOWN
 *      ▲                                                    │
 *      └────── the system clock jumps: the time goes on ────┘
 *              as if it had not, and nobody relies on it
 * ```
 *
 * A clock that has jumped, or that Exist contradicts, is believed again only when the system says that it is
 * synchronised or when Exist's own time agrees with it. Where Exist tells another time than a clock that nothing
 * vouches for, the time is Exist's until the system is synchronised.
 */
import type { EpochMs } from '../core/time.ts';
import { clockProblem, type ClockEvidence } from './clock-trust.ts';
import { atInstant } from './clock.ts';

export interface TimekeeperParts {
  readonly system: {
    now(): EpochMs;
    /** Milliseconds since boot. */
    monotonicMs(): number;
    after(delayMs: number, task: () => void): () => void;
  };
  readonly evidence: () => Promise<ClockEvidence>;
  /** Exist's time of now, where it answers. Never rejects. */
  readonly askExist: () => Promise<EpochMs | undefined>;
  /** What was told as the time was wrong by so much: instants told at or after `from` are to be moved. */
  readonly onCorrected: (byMs: number, from: EpochMs) => void;
  readonly onKnown: () => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

/** More than a clock is slewed between two looks at it; less than would matter for a day's count. */
const STEP_MS = 30_000;
/** Exist's `Date` is in whole seconds and as old as its answer. */
const AGREES_WITHIN_MS = 60_000;
/** An answer may have been on its way for long: only what differs by more is worth asking about. */
const CONTRADICTS_MS = 120_000;
const LOOK_EVERY_MS = 5_000;
/** Asking systemd starts a program: after the first minutes, and while the time is known, less often. */
const SOON_LOOKS = 24;
const LATER_EVERY_LOOKS = 6;
const ASK_EXIST_MS = { first: 5_000, most: 300_000 };
const CONTRADICTION_PAUSE_MS = 3_600_000;

export class Timekeeper {
  /** What is added to the system's time. */
  private offsetMs = 0;
  /** The system's time less the monotonic clock's, as it was at the last look. */
  private lineMs: number;
  private trouble: string | undefined = 'not looked at yet';
  /** The clock has jumped, or Exist contradicts it: only proof will do. */
  private needsProof = false;
  private wasEverKnown = false;
  /** From when on the time has been told without a correction. */
  private toldFrom = 0 as EpochMs;
  private latest = 0 as EpochMs;
  private steps = 0;
  private isLooking = false;
  /** Since the time was last known or stepped. */
  private looks = 0;
  private isStopped = false;
  private cancel: (() => void) | undefined;
  private existAsked = { at: -Infinity, everyMs: ASK_EXIST_MS.first };
  private contradictedAt = -Infinity;

  constructor(private readonly parts: TimekeeperParts) {
    this.lineMs = parts.system.now() - parts.system.monotonicMs();
  }

  /** Why the time is not known, while it is not. */
  get problem(): string | undefined {
    return this.trouble;
  }

  /** Resolves when the system's evidence is weighed; Exist is asked later, where that does not do. */
  async start(): Promise<void> {
    const problem = await this.weigh();
    if (problem !== undefined) this.parts.log('warn', `readings wait for the time: ${problem}`);
    this.look();
  }

  /** Idempotent. */
  stop(): void {
    this.isStopped = true;
    this.cancel?.();
  }

  now(): EpochMs {
    const systemMs = this.parts.system.now();
    const lineMs = systemMs - this.parts.system.monotonicMs();
    const stepMs = lineMs - this.lineMs;
    this.lineMs = lineMs;
    if (Math.abs(stepMs) > STEP_MS) this.stepped(stepMs);
    const instant = (systemMs + this.offsetMs) as EpochMs;
    // A clock that is set back by less than a step stands still for so long: what comes later is later.
    const isHeld = instant < this.latest && this.latest - instant <= STEP_MS;
    if (!isHeld) this.latest = instant;
    return this.latest;
  }

  monotonicMs(): number {
    return this.parts.system.monotonicMs();
  }

  after(delayMs: number, task: () => void): () => void {
    return this.parts.system.after(delayMs, task);
  }

  at(instant: EpochMs, task: () => void): () => void {
    return atInstant(() => this.now(), instant, task);
  }

  /** Exist's time as an answer of just now told it. */
  heard(existMs: EpochMs): void {
    const { system } = this.parts;
    if (Math.abs(existMs - this.now()) < CONTRADICTS_MS) return;
    if (system.monotonicMs() - this.contradictedAt < CONTRADICTION_PAUSE_MS) return;
    this.contradictedAt = system.monotonicMs();
    this.needsProof = true;
    this.existAsked.at = -Infinity;
    void this.judge();
  }

  private stepped(stepMs: number): void {
    this.steps += 1;
    this.looks = 0;
    if (!this.wasEverKnown) return;
    // The monotonic clock has fractions; instants are whole milliseconds.
    this.offsetMs -= Math.round(stepMs);
    this.needsProof = true;
    this.existAsked = { at: -Infinity, everyMs: ASK_EXIST_MS.first };
    const seconds = Math.round(Math.abs(stepMs) / 1_000);
    this.trouble = `the system clock was set ${stepMs > 0 ? 'forward' : 'back'} by ${seconds} s`;
    this.parts.log('warn', `readings wait for the time: ${this.trouble}`);
    void this.judge();
  }

  /** Looks at the clock now and then; while something is unclear, at the evidence too. */
  private look(): void {
    if (this.isStopped) return;
    this.now();
    this.looks += 1;
    const isSoon = this.trouble !== undefined && this.looks <= SOON_LOOKS;
    const isUnclear = this.trouble !== undefined || this.needsProof;
    if (isUnclear && (isSoon || this.looks % LATER_EVERY_LOOKS === 0)) void this.judge();
    this.cancel = this.parts.system.after(LOOK_EVERY_MS, () => {
      this.look();
    });
  }

  private async judge(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      const problem = await this.weigh();
      if (problem !== undefined) await this.consultExist();
    } finally {
      this.isLooking = false;
    }
  }

  /** Believes the system where its evidence allows that; else says what is missing. */
  private async weigh(): Promise<string | undefined> {
    const { steps } = this;
    const evidence = await this.parts.evidence();
    if (this.isStopped) return undefined;
    // Meanwhile it was set again: the evidence is of another clock.
    if (steps !== this.steps) return this.trouble;
    const problem = clockProblem(evidence);
    if (problem === undefined && (!this.needsProof || evidence.synchronised === true)) {
      this.settle(0);
      return undefined;
    }
    if (!this.wasEverKnown && problem !== undefined) this.trouble = problem;
    return problem ?? this.trouble ?? 'Exist tells another time';
  }

  private async consultExist(): Promise<void> {
    const { system, askExist } = this.parts;
    const sinceMs = system.monotonicMs() - this.existAsked.at;
    if (sinceMs < this.existAsked.everyMs) return;
    const everyMs = Number.isFinite(sinceMs)
      ? Math.min(2 * this.existAsked.everyMs, ASK_EXIST_MS.most)
      : ASK_EXIST_MS.first;
    this.existAsked = { at: system.monotonicMs(), everyMs };
    const { steps } = this;
    const existMs = await askExist();
    if (existMs === undefined || this.isStopped || steps !== this.steps) return;
    const aheadMs = existMs - system.now();
    const agreed = [0, this.offsetMs].find((offsetMs) => Math.abs(aheadMs - offsetMs) <= AGREES_WITHIN_MS);
    this.settle(agreed ?? aheadMs);
  }

  private settle(offsetMs: number): void {
    const { log, onCorrected, onKnown } = this.parts;
    const correctionMs = offsetMs - this.offsetMs;
    const wasKnown = this.trouble === undefined;
    const isCorrection = this.wasEverKnown && Math.abs(correctionMs) > STEP_MS;
    const from = this.toldFrom;
    this.offsetMs = offsetMs;
    this.trouble = undefined;
    this.needsProof = offsetMs !== 0;
    if (offsetMs !== 0 && correctionMs !== 0) {
      const by = `${Math.round(Math.abs(offsetMs) / 1_000)} s ${offsetMs > 0 ? 'behind' : 'ahead of'}`;
      log('warn', `the system clock is ${by} Exist's, and nothing vouches for it: the time is Exist's`);
    }
    if (isCorrection) {
      log('info', `the time is corrected by ${Math.round(correctionMs / 1_000)} s`);
      onCorrected(correctionMs, from);
    }
    if (this.wasEverKnown && !wasKnown) log('info', 'the time is known again');
    if (isCorrection || !this.wasEverKnown) this.toldFrom = this.now();
    this.wasEverKnown = true;
    if (!wasKnown) onKnown();
  }
}
