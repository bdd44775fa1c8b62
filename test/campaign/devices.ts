/**
 * Devices as they are: each keeps what it did until the broker has acknowledged it, over reconnects and restarts.
 * No two of its messages say the same, so that the books can tell a lost one from one that was counted twice.
 */
import { UNITS_PER_ONE, formatUnits, type Units } from '../../src/core/units.ts';
import type { Random } from '../simulation/random.ts';
import { PublisherSession } from './session.ts';

export interface Device {
  /** What it publishes to (`campaign/…`), and the attribute it counts for. */
  readonly attribute: string;
  /** How it publishes, in a word or two. */
  readonly publisher: string;
  /** How often the thing it watches has happened. */
  readonly presses: number;
  /** Happened, and not acknowledged yet. */
  readonly unacknowledged: number;
  /** What has to stand at Exist in the end. */
  readonly truth: Truth;
  happen(): void;
  stop(): void;
}

export type Truth =
  | {
      readonly kind: 'sum';
      readonly did: Units;
      /** QoS 0 may lose, never double. */
      readonly mayLose: boolean;
    }
  /** Whether `value` may stand for `day`: the last one acknowledged on it, both where midnight fell in between. */
  | {
      readonly kind: 'last';
      readonly last: number;
      readonly mayStand: (value: unknown, day: string) => boolean;
    };

type Qos = 1 | 2;

/** Publishes with QoS 1 or 2; only MQTT's own marks tell two presses apart. */
export class FaithfulDevice implements Device {
  presses = 0;
  readonly publisher: string;
  private readonly session: PublisherSession;

  constructor(
    port: number,
    readonly attribute: string,
    private readonly qos: Qos,
    by = '',
  ) {
    this.publisher = `QoS ${qos}${by}`;
    this.session = new PublisherSession(port, `device-${attribute}`);
  }

  get unacknowledged(): number {
    return this.session.unacknowledged;
  }

  get truth(): Truth {
    return { kind: 'sum', did: (this.presses * UNITS_PER_ONE) as Units, mayLose: false };
  }

  happen(): void {
    this.presses += 1;
    this.session.publish(`campaign/${this.attribute}`, `press ${this.presses}`, this.qos);
  }

  stop(): void {
    this.session.stop();
  }
}

/** Measures: every message is an amount with up to six decimals, so that no two errors cancel each other. */
export class MeasuringDevice implements Device {
  presses = 0;
  readonly publisher: string;
  private sum = 0;
  private readonly session: PublisherSession;

  constructor(
    port: number,
    readonly attribute: string,
    private readonly qos: Qos,
    private readonly random: Random,
  ) {
    this.publisher = `QoS ${qos}, amounts`;
    this.session = new PublisherSession(port, `device-${attribute}`);
  }

  get unacknowledged(): number {
    return this.session.unacknowledged;
  }

  get truth(): Truth {
    return { kind: 'sum', did: this.sum as Units, mayLose: false };
  }

  happen(): void {
    this.presses += 1;
    const amount = this.random.whole(1, 5 * UNITS_PER_ONE) as Units;
    this.sum += amount;
    const payload = `{"n":${this.presses},"amount":${formatUnits(amount)}}`;
    this.session.publish(`campaign/${this.attribute}`, payload, this.qos);
  }

  stop(): void {
    this.session.stop();
  }
}

/** Says a state again and again: of each day the last one it said counts. */
export class StateDevice implements Device {
  presses = 0;
  readonly publisher: string;
  /** By value: the days on which it was published and acknowledged. Only the last of a day are kept. */
  private said: { readonly value: number; readonly from: string; to: string | undefined }[] = [];
  private readonly session: PublisherSession;

  constructor(
    port: number,
    readonly attribute: string,
    private readonly qos: Qos,
  ) {
    this.publisher = `QoS ${qos}, states`;
    this.session = new PublisherSession(port, `device-${attribute}`);
  }

  get unacknowledged(): number {
    return this.session.unacknowledged;
  }

  get truth(): Truth {
    return {
      kind: 'last',
      last: this.presses,
      mayStand: (value, day) => this.candidates(day).includes(Number(value)),
    };
  }

  happen(): void {
    this.presses += 1;
    const word: (typeof this.said)[number] = { value: this.presses, from: today(), to: undefined };
    this.said.push(word);
    this.session.publish(`campaign/${this.attribute}`, String(word.value), this.qos, () => {
      word.to = today();
      this.forgetBefore(word.value, word.from === word.to ? word.to : undefined);
    });
  }

  stop(): void {
    this.session.stop();
  }

  /** A later value of the same day stands: earlier ones of it do not matter any more. */
  private forgetBefore(value: number, day: string | undefined): void {
    this.said = this.said.filter(
      (earlier) => earlier.value >= value || earlier.from !== day || earlier.to !== day,
    );
  }

  private candidates(day: string): number[] {
    const onDay = this.said.filter(({ from, to }) => from <= day && (to === undefined || day <= to));
    const certain = onDay.findLastIndex(({ from, to }) => from === day && to === day);
    return onDay.slice(Math.max(certain, 0)).map(({ value }) => value);
  }
}

/**
 * Restarts now and then: what was not acknowledged is sent again over another connection, with other packet ids
 * and without DUP. Only the identity in its payload tells a second copy.
 */
export class RestartingDevice implements Device {
  presses = 0;
  restarts = 0;
  private readonly pending = new Map<number, string>();
  private session: PublisherSession;

  constructor(
    private readonly port: number,
    readonly attribute: string,
    private readonly random: Random,
  ) {
    this.session = this.open();
  }

  get publisher(): string {
    return `QoS 1, ids, ${this.restarts} restarts`;
  }

  get unacknowledged(): number {
    return this.pending.size;
  }

  get truth(): Truth {
    return { kind: 'sum', did: (this.presses * UNITS_PER_ONE) as Units, mayLose: false };
  }

  happen(): void {
    this.presses += 1;
    this.pending.set(this.presses, JSON.stringify({ event: 'pressed', inst: 'device', seq: this.presses }));
    this.publish(this.presses);
    if (this.random.chance(0.2)) this.restart();
  }

  stop(): void {
    this.session.stop();
  }

  private restart(): void {
    this.restarts += 1;
    this.session.stop();
    this.session = this.open();
    for (const seq of this.pending.keys()) this.publish(seq);
  }

  private open(): PublisherSession {
    return new PublisherSession(this.port, `device-${this.attribute}`, this.random.whole(1, 60_000));
  }

  private publish(seq: number): void {
    const payload = this.pending.get(seq) ?? '';
    this.session.publish(`campaign/${this.attribute}`, payload, 1, () => this.pending.delete(seq));
  }
}

/** Publishes with QoS 0: nothing is promised for it but that one press counts at most once. */
export class CarelessDevice implements Device {
  presses = 0;
  readonly publisher = 'QoS 0';
  readonly unacknowledged = 0;
  private readonly session: PublisherSession;

  constructor(
    port: number,
    readonly attribute: string,
  ) {
    this.session = new PublisherSession(port, `device-${attribute}`);
  }

  get truth(): Truth {
    return { kind: 'sum', did: (this.presses * UNITS_PER_ONE) as Units, mayLose: true };
  }

  happen(): void {
    this.presses += 1;
    this.session.publishCarelessly(`campaign/${this.attribute}`, `press ${this.presses}`);
  }

  stop(): void {
    this.session.stop();
  }
}

/** The account's zone is UTC. */
function today(): string {
  return new Date().toISOString().slice(0, 10);
}
