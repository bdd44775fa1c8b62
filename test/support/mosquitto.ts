/** A real Mosquitto on a port of its own, where this machine has one. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './port.ts';

/** Why tests that need it are skipped, where they are. */
export const NO_MOSQUITTO: string | undefined =
  spawnSync('mosquitto', ['-h']).error === undefined ? undefined : 'mosquitto is not installed here';

export class Mosquitto {
  private child: ChildProcess | undefined;
  readonly lines: string[] = [];
  private readonly written = new EventEmitter();

  private constructor(
    readonly port: number,
    /** Of its websockets, which it serves beside plain MQTT only. */
    readonly websocketPort: number,
    private readonly folder: string,
  ) {}

  /** `settings`: more lines of mosquitto.conf; `listener`: those of the listener. */
  static async start(
    folder: string,
    settings: readonly string[] = [],
    listener: readonly string[] = [],
  ): Promise<Mosquitto> {
    // It cannot be told to take any free port; another program may be faster than it.
    for (let attempt = 0; ; attempt += 1) {
      const mosquitto = new Mosquitto(await freePort(), await freePort(), folder);
      writeFileSync(
        path.join(folder, 'mosquitto.conf'),
        [
          'per_listener_settings false',
          ...settings,
          ...(settings.some((line) => line.startsWith('password_file')) ? [] : ['allow_anonymous true']),
          'persistence true',
          `persistence_location ${folder}/`,
          // Saved when it is told to (SIGUSR1) and when it ends in order.
          'autosave_interval 0',
          ...(process.getuid?.() === 0 ? ['user root'] : []),
          `listener ${mosquitto.port} 127.0.0.1`,
          ...listener,
          `listener ${mosquitto.websocketPort} 127.0.0.1`,
          'protocol websockets',
          '',
        ].join('\n'),
      );
      chmodSync(folder, 0o755);
      if (await mosquitto.run()) return mosquitto;
      if (attempt === 4) throw new Error(mosquitto.lines.join('\n'));
    }
  }

  /** The first line of its log that fits, those already written included. */
  async line(fits: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => fits.test(line));
      if (found !== undefined) return found;
      await once(this.written, 'line');
    }
  }

  /** Once more, with what it has saved. */
  async restart(): Promise<void> {
    if (!(await this.run())) throw new Error(this.lines.join('\n'));
  }

  /** Resolves when all that it keeps is on disk. */
  async save(): Promise<void> {
    const file = path.join(this.folder, 'mosquitto.db');
    const before = changedAt(file);
    this.child?.kill('SIGUSR1');
    while (changedAt(file) === before) await new Promise((resolve) => setImmediate(resolve));
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  /** Resolves with whether it runs. */
  private async run(): Promise<boolean> {
    const child = spawn('mosquitto', ['-v', '-c', path.join(this.folder, 'mosquitto.conf')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    return new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.lines.push(line);
          this.written.emit('line');
          if (/mosquitto version \S+ running/.test(line)) resolve(true);
        });
      }
      child.once('exit', () => {
        resolve(false);
      });
    });
  }
}

/** In ns: a file that is renamed into place keeps its content's time to the clock's granularity only. */
function changedAt(file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.ino}-${stat.ctimeNs}` : 'none';
}
