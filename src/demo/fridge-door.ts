/**
 * A simulated reed switch on a fridge door: a real MQTT client over TCP, as an ESP32 would be one.
 */
import { connectAsync, type MqttClient } from 'mqtt';

export interface FridgeDoorOptions {
  /** `mqtt://127.0.0.1:1883` */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  /** From one opening to the next, on average. */
  readonly everyMs: number;
  readonly topic: string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly onFault: (error: unknown) => void;
}

export class FridgeDoor {
  private client: MqttClient | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isRunning = false;

  constructor(private readonly options: FridgeDoorOptions) {}

  async start(): Promise<void> {
    this.isRunning = true;
    const { url, username, password } = this.options;
    this.client = await connectAsync(url, {
      clientId: 'demo-fridge',
      protocolVersion: 4,
      username,
      password,
    });
    this.client.on('error', this.options.onFault);
    this.move('closed');
  }

  async stop(): Promise<void> {
    this.isRunning = false;
    clearTimeout(this.timer);
    await this.client?.endAsync(true).catch(() => undefined);
    this.client = undefined;
  }

  private move(state: 'open' | 'closed'): void {
    if (!this.isRunning) return;
    this.client?.publishAsync(this.options.topic, state, { qos: 1 }).catch((error: unknown) => {
      if (this.isRunning) this.options.onFault(error);
    });
    const { everyMs, random } = this.options;
    // Open for a third of the time at most, as doors of fridges are.
    const share = state === 'open' ? 0.1 + 0.2 * random() : 0.5 + 0.5 * random();
    this.timer = setTimeout(() => {
      this.move(state === 'open' ? 'closed' : 'open');
    }, everyMs * share);
  }
}
