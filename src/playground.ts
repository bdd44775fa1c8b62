/**
 * What the demo adds to the bridge: a local Exist within the daemon, and a simulated fridge door. Both are loaded
 * only where they are configured: an MQTT client of our own is 20 MB.
 */
import path from 'node:path';
import type { Config } from './config/load.ts';
import type { FridgeDoor } from './demo/fridge-door.ts';
import type { Log } from './narrator.ts';
import type { Sandbox } from './sandbox/sandbox.ts';

/** Opens an account for a client of the bridge's own. */
export type OpenOwn = (
  publish: readonly string[],
) => Promise<{ readonly username: string; readonly password: string }>;

export class Playground {
  private sandbox: Sandbox | undefined;
  private door: FridgeDoor | undefined;

  constructor(
    private readonly config: Config,
    private readonly log: Log,
  ) {}

  /** The URL of Exist: the configured one, or that of the local one, which is started. */
  async startExist(): Promise<string> {
    const { dataDir, exist } = this.config;
    if (exist.url !== 'sandbox') return exist.url;
    const { Sandbox } = await import('./sandbox/sandbox.ts');
    this.sandbox = new Sandbox({ file: path.join(dataDir, 'sandbox.json'), port: exist.sandboxPort });
    const { url } = await this.sandbox.start();
    return url;
  }

  /** Where one is configured, and the broker that listens at `url` is there. */
  async startDoor(url: string | undefined, openOwn: OpenOwn): Promise<void> {
    const door = this.config.demo;
    if (!door || url === undefined) return;
    const { FridgeDoor } = await import('./demo/fridge-door.ts');
    this.door = new FridgeDoor({
      url,
      ...(await openOwn([door.topic])),
      topic: door.topic,
      everyMs: door.everyMs,
      random: Math.random,
      onFault: (error) => {
        this.log('warn', 'the simulated fridge door has lost the broker', { error: String(error) });
      },
    });
    await this.door.start();
  }

  /** Idempotent. */
  async stopDoor(): Promise<void> {
    await this.door?.stop();
  }

  /** Idempotent; after the last call to it. */
  async stopExist(): Promise<void> {
    await this.sandbox?.stop();
  }
}
