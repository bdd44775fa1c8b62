/**
 * Devices as they are: each keeps what it did until the broker has acknowledged it, over reconnects and restarts.
 */
import type { Random } from '../simulation/random.ts';
import { PublisherSession } from './session.ts';

export interface Device {
  readonly attribute: string;
  /** How often the thing it watches has happened. */
  readonly did: number;
  /** Happened, and not acknowledged yet. */
  readonly unacknowledged: number;
  happen(): void;
  stop(): void;
}

/** Publishes with QoS 1 or 2; only MQTT's own marks tell two presses apart. */
export class FaithfulDevice implements Device {
  did = 0;
  private readonly session: PublisherSession;

  constructor(
    port: number,
    readonly attribute: string,
    private readonly qos: 1 | 2,
  ) {
    this.session = new PublisherSession(port, `device-${attribute}`);
  }

  get unacknowledged(): number {
    return this.session.unacknowledged;
  }

  happen(): void {
    this.did += 1;
    this.session.publish(`campaign/${this.attribute}`, 'pressed', this.qos);
  }

  stop(): void {
    this.session.stop();
  }
}

/**
 * Restarts now and then: what was not acknowledged is sent again over another connection, with other packet ids
 * and without DUP. Only the identity in its payload tells a second copy.
 */
export class RestartingDevice implements Device {
  did = 0;
  private readonly pending = new Map<number, string>();
  private session: PublisherSession;

  constructor(
    private readonly port: number,
    readonly attribute: string,
    private readonly random: Random,
  ) {
    this.session = this.open();
  }

  get unacknowledged(): number {
    return this.pending.size;
  }

  happen(): void {
    this.did += 1;
    this.pending.set(this.did, JSON.stringify({ event: 'pressed', inst: 'device', seq: this.did }));
    this.publish(this.did);
    if (this.random.chance(0.2)) this.restart();
  }

  stop(): void {
    this.session.stop();
  }

  private restart(): void {
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
  did = 0;
  readonly unacknowledged = 0;
  private readonly session: PublisherSession;

  constructor(
    port: number,
    readonly attribute: string,
  ) {
    this.session = new PublisherSession(port, `device-${attribute}`);
  }

  happen(): void {
    this.did += 1;
    this.session.publishCarelessly(`campaign/${this.attribute}`, 'pressed');
  }

  stop(): void {
    this.session.stop();
  }
}
