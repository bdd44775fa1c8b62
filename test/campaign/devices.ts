/**
 * Devices as they are: each keeps what it did until the broker has acknowledged it, over reconnects.
 */
import { connect, type MqttClient } from 'mqtt';
import type { Random } from '../simulation/random.ts';

export interface Device {
  readonly attribute: string;
  /** How often the thing it watches has happened. */
  readonly did: number;
  /** Happened, and not acknowledged yet. */
  readonly unacknowledged: number;
  happen(): void;
  stop(): Promise<void>;
}

/** Publishes with QoS 1 or 2 from one session that outlives the broker: mqtt.js sends again with DUP. */
export class FaithfulDevice implements Device {
  did = 0;
  unacknowledged = 0;
  private readonly client: MqttClient;

  constructor(
    url: string,
    readonly attribute: string,
    private readonly qos: 1 | 2,
  ) {
    this.client = connect(url, {
      clientId: `device-${attribute}`,
      protocolVersion: 4,
      clean: false,
      reconnectPeriod: 40,
      connectTimeout: 2_000,
    });
    this.client.on('error', () => undefined);
  }

  happen(): void {
    this.did += 1;
    this.unacknowledged += 1;
    // The same words each time: only MQTT's own marks tell two presses apart.
    this.client.publish(`campaign/${this.attribute}`, 'pressed', { qos: this.qos }, (error) => {
      if (!error) this.unacknowledged -= 1;
    });
  }

  async stop(): Promise<void> {
    await this.client.endAsync(true);
  }
}

/**
 * Restarts now and then: what was not acknowledged is sent again over another connection, with other packet ids
 * and without DUP. Only the identity in its payload tells a second copy.
 */
export class RestartingDevice implements Device {
  did = 0;
  private readonly pending = new Map<number, string>();
  private client: MqttClient;
  private life = 0;

  constructor(
    private readonly url: string,
    readonly attribute: string,
    private readonly random: Random,
  ) {
    this.client = this.open();
  }

  get unacknowledged(): number {
    return this.pending.size;
  }

  happen(): void {
    this.did += 1;
    const payload = JSON.stringify({ event: 'pressed', inst: 'device', seq: this.did });
    this.pending.set(this.did, payload);
    this.publish(this.did, payload);
    if (this.random.chance(0.2)) this.restart();
  }

  async stop(): Promise<void> {
    await this.client.endAsync(true);
  }

  private restart(): void {
    this.client.end(true);
    this.client = this.open();
  }

  private open(): MqttClient {
    this.life += 1;
    const client = connect(this.url, {
      clientId: `device-${this.attribute}`,
      protocolVersion: 4,
      clean: true,
      reconnectPeriod: 40,
      connectTimeout: 2_000,
    });
    const { life } = this;
    client.on('error', () => undefined);
    client.on('connect', () => {
      if (life !== this.life) return;
      for (const [seq, payload] of this.pending) this.publish(seq, payload);
    });
    return client;
  }

  private publish(seq: number, payload: string): void {
    if (!this.client.connected) return;
    this.client.publish(`campaign/${this.attribute}`, payload, { qos: 1 }, (error) => {
      if (!error) this.pending.delete(seq);
    });
  }
}

/** Publishes with QoS 0: nothing is promised for it but that one press counts at most once. */
export class CarelessDevice implements Device {
  did = 0;
  readonly unacknowledged = 0;
  private readonly client: MqttClient;

  constructor(
    url: string,
    readonly attribute: string,
  ) {
    this.client = connect(url, { clientId: `device-${attribute}`, protocolVersion: 4, reconnectPeriod: 40 });
    this.client.on('error', () => undefined);
  }

  happen(): void {
    this.did += 1;
    if (this.client.connected) this.client.publish(`campaign/${this.attribute}`, 'pressed', { qos: 0 });
  }

  async stop(): Promise<void> {
    await this.client.endAsync(true);
  }
}
