/**
 * The built daemon as a process of its own, on a configuration of this test's, with ports the system chose.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'undici';
import type { Status } from '../../src/core/status.ts';
import { Places } from '../security/search.ts';

/** npm runs scripts and tests from the project's folder. */
export const COMMAND = path.resolve('dist/main.js');

/** No test looks at it, and no daemon that any of them starts may let it be seen: what they leave is searched. */
const TOKEN = 'a-token-that-stands-nowhere-else';

export interface DaemonOptions {
  readonly folder: string;
  /** YAML of `attributes` and `mappings`, and whatever else is to be set; `exist` and listeners are added. */
  readonly yaml: string;
  readonly existUrl: string;
  /** Default: UTC. */
  readonly timezone?: string;
  /** The key with the token, as YAML; default: one that is to be seen nowhere. */
  readonly token?: string;
  /** More of the section `exist`. */
  readonly exist?: string;
  readonly flush?: string;
  /** Default: any free port of the loopback; `false` for no broker. */
  readonly listen?: string | readonly string[] | false;
  /** More of the section `broker`. */
  readonly broker?: string;
  /** Default: any free port of the loopback. */
  readonly web?: string;
  /** More arguments of `run`. */
  readonly args?: readonly string[];
  /** A command that runs the daemon, such as strace with its arguments. */
  readonly wrapper?: readonly string[];
}

export class Daemon {
  readonly lines: string[] = [];
  brokerUrl = '';
  webUrl = '';
  private readonly waiting = new Set<() => void>();

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {
    for (const stream of [child.stderr, child.stdout]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        for (const look of this.waiting) look();
      });
    }
    child.on('exit', () => {
      for (const look of this.waiting) look();
    });
  }

  /** Resolves when the daemon says that it is ready. */
  static async start(options: DaemonOptions, env: Readonly<Record<string, string>> = {}): Promise<Daemon> {
    const daemon = new Daemon(launch(options, env), options.folder);
    const ready = await daemon.line((entry) => entry['msg'] === 'ready');
    daemon.brokerUrl = String(ready['broker']);
    daemon.webUrl = String(ready['web']);
    return daemon;
  }
  get pid(): number {
    return this.child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The first log line that `fits`, those already printed included; rejects where the daemon ends before. */
  line(fits: (entry: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    let seen = 0;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        for (; seen < this.lines.length; seen += 1) {
          const entry = parse(this.lines[seen] ?? '');
          if (!entry || !fits(entry)) continue;
          this.waiting.delete(look);
          resolve(entry);
          return;
        }
        if (this.isRunning) return;
        this.waiting.delete(look);
        reject(new Error(`the daemon ended:\n${this.lines.join('\n')}`));
      };
      this.waiting.add(look);
      look();
    });
  }

  async status(): Promise<Status> {
    const response = await request(`${this.webUrl}/api/status`);
    return (await response.body.json()) as Status;
  }

  /** Ends it without warning, as a power cut would end the process. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
    this.searchWhatIsLeft();
  }

  /** Resolves with the exit code. */
  async stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number | null> {
    if (!this.isRunning) return this.child.exitCode;
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    await gone;
    this.searchWhatIsLeft();
    return this.child.exitCode;
  }

  private searchWhatIsLeft(): void {
    const places = new Places();
    places.add('the log', this.lines.join('\n'));
    const data = path.join(this.folder, 'data');
    // At the end of a test its folder may be gone first.
    if (existsSync(data)) places.addFiles(data);
    const [found] = places.whereabouts({ 'the token': TOKEN });
    if (found !== undefined) throw new Error(`a secret is shown: ${found}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

function launch(options: DaemonOptions, env: Readonly<Record<string, string>>): ChildProcess {
  const { wrapper = [], args = [] } = options;
  const run = [process.execPath, COMMAND, 'run', '-c', writeConfig(options), '--log-format', 'json', ...args];
  const [program = process.execPath, ...rest] = [...wrapper, ...run];
  return spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
}

/** Starts the daemon and kills it after `afterMs`, wherever it has come by then. */
export async function killStarting(options: DaemonOptions, afterMs: number): Promise<void> {
  const child = launch(options, {});
  const gone = once(child, 'exit');
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  child.kill('SIGKILL');
  await gone;
}

/** Asks until the answer fits: for what happens in another process, which nothing here can await. */
export async function eventually<T>(
  ask: () => Promise<T>,
  fits: (answer: T) => boolean,
  withinMs = 15_000,
): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (Date.now() > until) throw new Error(`still ${JSON.stringify(answer)} after ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function writeConfig(options: DaemonOptions): string {
  const { folder, yaml, existUrl, token = `token: ${TOKEN}`, exist = '' } = options;
  const { flush = 'every: 100ms, linger: 20ms' } = options;
  const { listen = 'mqtt://127.0.0.1:0', broker = '', web = '127.0.0.1:0', timezone = 'UTC' } = options;
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'mqtt2exist.yaml');
  const text = `data_dir: ./data
timezone: ${timezone}
exist: { url: "${existUrl}", ${token}, settle: 200ms, timeout: 2s, calls_per_hour: 100000${exist} }
flush: { ${flush} }
broker: ${listen === false ? 'false' : `{ listen: ${JSON.stringify([listen].flat())}${broker} }`}
web: { listen: "${web}" }
${yaml}
`;
  writeFileSync(file, text);
  return file;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
