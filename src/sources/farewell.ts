/**
 * Takes leave of a broker that still keeps a session for a connection which is no longer configured: without it, the
 * broker would fill a queue for nobody.
 *
 * ```
 *   start ─▶ waiting ─▶ looking ─▶ ending ─▶ over: nothing is kept there, nor written down here
 *              ▲           │          │
 *              └── failed ─┴──────────┘   after a growing pause; given up after some tries, until the next start
 * ```
 *
 * A session belongs to a client id at a broker, and one broker may have several addresses. So where a configured
 * connection, a rival, has the same client id, the session may be the one that it lives in. Nothing is done before all
 * rivals are connected: the session they resume is theirs then. Then we look: the broker cuts a rival off before it
 * answers our CONNECT [MQTT-3.1.4-3], so where one no longer answers it is the same session, which goes on. Until that
 * is known nothing is acknowledged and nothing ended; there is no last will that a look could set off.
 */
import { backOffMs } from '../core/delivery/pace.ts';
import type { Failure } from './failure.ts';
import { Link } from './link.ts';
import type { SourceOptions, SourceParts } from './ports.ts';
import { sessionKey, urlOf } from './session-key.ts';

/** A configured connection with the same client id. */
export interface Rival {
  /** Asks whether the connection of now still holds; `undefined` where there is none. */
  witness(): Witness | undefined;
  /** What may be subscribed in its session as well. */
  inherit(filters: readonly string[]): void;
}

/** `silent`: no answer in time, which tells nothing. */
export type Witness = () => Promise<'holds' | 'lost' | 'silent'>;

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Over a few minutes: after a power cut the network comes back later than we do. */
const MOST_TRIES = 12;

class Failed extends Error {
  override readonly name = 'Failed';

  constructor(readonly failure: Failure) {
    super(failure.text);
  }
}

export class Farewell {
  private readonly key: string;
  private readonly url: string;
  private version: 4 | 5;
  private pauses = 0;
  private tries = 0;
  private isStopped = false;
  private cancelPause: (() => void) | undefined;
  private cut: ((reason: Error) => void) | undefined;
  private work: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: SourceOptions,
    private readonly parts: Pick<SourceParts, 'sessions' | 'log' | 'random' | 'after'>,
    private readonly rivals: () => readonly Rival[],
  ) {
    this.key = sessionKey(options);
    this.url = urlOf(options);
    this.version = options.protocol ?? 5;
  }

  start(): void {
    this.work = this.attempt();
  }

  /** Idempotent. Resolves when no connection is left. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancelPause?.();
    this.cut?.(new Error('stopped'));
    await this.work;
  }

  private async attempt(): Promise<void> {
    try {
      if ((await this.takeLeave()) === 'waiting') this.pause();
    } catch (error) {
      if (!this.isStopped) this.failed(error);
    }
  }

  private async takeLeave(): Promise<'waiting' | 'done'> {
    const rivals = this.rivals();
    const witnesses = rivals.flatMap((rival) => rival.witness() ?? []);
    if (witnesses.length < rivals.length) return 'waiting';
    const record = this.parts.sessions.load(this.key);
    // A rival has found it, and goes on with it.
    if (!record) return 'done';
    if (rivals.length > 0) {
      const isTheirs = await this.connected(false, (isPresent) => isOfRival(isPresent, witnesses));
      if (isTheirs) {
        for (const rival of rivals) rival.inherit(Object.keys(record.filters));
        return this.done(`the session at ${this.url} goes on: it is one of a connection that there is`);
      }
    }
    // A clean start ends the session [MQTT-3.1.2-4]; what begins with it ends with the connection.
    await this.connected(true, () => Promise.resolve());
    return this.done(`${this.url} is not among the connections any more, and keeps no session for us`);
  }

  private done(message: string): 'done' {
    this.parts.sessions.remove(this.key);
    this.parts.log('info', message);
    return 'done';
  }

  /** Connects, does the work and disconnects. Rejects where the broker cannot be reached or the work be done. */
  private async connected<T>(isClean: boolean, work: (isPresent: boolean) => Promise<T>): Promise<T> {
    if (this.isStopped) throw new Error('stopped');
    const stopped = new Promise<never>((_, reject) => (this.cut = reject));
    let link: Link | undefined;
    const accepted = new Promise<boolean>((resolve, reject) => {
      let isPresent = false;
      link = new Link(
        this.options,
        this.version,
        undefined,
        {
          accepted: (isSessionPresent) => (isPresent = isSessionPresent),
          ready: () => resolve(isPresent),
          message: () => undefined,
          released: () => undefined,
          failed: (failure) => reject(new Failed(failure)),
        },
        isClean,
      );
      link.open();
    });
    try {
      return await Promise.race([stopped, accepted.then(work)]);
    } finally {
      await link?.close(isClean);
    }
  }

  private failed(error: unknown): void {
    const failure: Failure = error instanceof Failed ? error.failure : { text: String(error), kind: 'other' };
    const { kind, text } = failure;
    if ((kind === 'version' || kind === 'mute') && this.options.protocol === undefined) {
      this.version = this.version === 5 ? 4 : 5;
      if (kind === 'version' && this.version === 4) {
        this.start();
        return;
      }
    }
    this.tries += 1;
    const { log } = this.parts;
    if (kind === 'refused' || kind === 'tls') {
      // What it takes to be let in went with the connection.
      log(
        'warn',
        `${this.url} is not among the connections any more, and our session stays there until the broker expires it: ` +
          `${text}; to end it, put the connection back in, and take it out while mqtt2exist runs (SIGHUP)`,
      );
    } else if (this.tries >= MOST_TRIES) {
      log('debug', `no leave can be taken of ${this.url}: ${text}; it is tried again at the next start`);
    } else {
      log('debug', `no leave can be taken of ${this.url} yet: ${text}`);
      this.pause();
    }
  }

  private pause(): void {
    if (this.isStopped) return;
    this.pauses += 1;
    const pauseMs = backOffMs(this.pauses, this.parts.random(), FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    this.cancelPause = this.parts.after(pauseMs, () => this.start());
  }
}

/** @throws Failed where a rival says nothing */
async function isOfRival(isPresent: boolean, witnesses: readonly Witness[]): Promise<boolean> {
  // A rival that is connected has a session.
  if (!isPresent) return false;
  const said = await Promise.all(witnesses.map((ask) => ask()));
  if (said.includes('lost')) return true;
  if (!said.includes('silent')) return false;
  throw new Failed({ text: 'a connection with the same client id does not answer', kind: 'other' });
}
