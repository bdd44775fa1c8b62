/**
 * A look at what an existing broker has besides what the mappings name: a second connection beside the session, clean
 * and with QoS 0, for as long as somebody looks. What it brings is shown and nothing else: no reading comes of it,
 * nothing is acknowledged, and the broker keeps nothing of it.
 *
 * ```
 *   start ─▶ connecting ─▶ looking ─▶ over: stopped, refused, or more than may come
 *                ▲            │ lost
 *                └── pause ◀──┘
 * ```
 *
 * Where it does not come to look at all it is not tried again: whoever looks is told, and is there to look again.
 */
import { Bucket } from '../core/bucket.ts';
import { backOffMs } from '../core/delivery/pace.ts';
import { filterTest, isOwnTopic } from '../core/topic.ts';
import { Link, type Incoming } from './link.ts';
import { subackText, type Failure } from './failure.ts';
import type { Observer, SourceOptions, SourceParts } from './ports.ts';

/** Topics of one look; those that come later are left out. */
const MOST_TOPICS = 500;
/** A broker begins with all that is retained. */
const BURST = 2_000;
const MOST_A_SECOND = 100;
/** A payload of so many bytes takes the room of one more message. */
const BYTES_LIKE_ONE = 1_024;
/** What is retained comes at once. Less than `mqtt2exist topics` looks. */
const QUIET_AFTER_MS = 2_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

/** What a look needs from outside. */
export type LookParts = Pick<SourceParts, 'monotonicMs' | 'after' | 'random'>;

export class Look {
  /** Whether it brings what is published to `topic`. */
  readonly shows: (topic: string) => boolean;
  private readonly topics = new Set<string>();
  private readonly room: Bucket;
  private link: Link | undefined;
  private isOver = false;
  private isLooking = false;
  /** Of the topics there something came that is not the bridge's own. */
  private hasSeen = false;
  private isFull = false;
  /** Times that it was lost, and could not be had again. */
  private losses = 0;
  private hasLooked = false;
  private cancelPause: (() => void) | undefined;
  private cancelQuiet: (() => void) | undefined;

  constructor(
    private readonly options: SourceOptions,
    private readonly version: 4 | 5,
    private readonly filter: string,
    private readonly observer: Observer,
    private readonly parts: LookParts,
    /** The message comes to us another way too. */
    private readonly isKnown: (topic: string) => boolean,
  ) {
    const fits = filterTest(filter);
    this.shows = (topic) => this.isLooking && fits(topic);
    this.room = new Bucket(BURST, MOST_A_SECOND, parts.monotonicMs());
  }

  get clientId(): string {
    return this.options.clientId;
  }

  start(): void {
    this.cancelQuiet = this.parts.after(QUIET_AFTER_MS, () => {
      this.tellQuiet();
    });
    this.connect();
  }

  /** Idempotent. Resolves when the connection is closed. */
  async stop(): Promise<void> {
    this.isOver = true;
    this.isLooking = false;
    this.cancelPause?.();
    this.cancelQuiet?.();
    await this.link?.close(true);
  }

  private connect(): void {
    const link: Link = new Link(
      this.options,
      this.version,
      undefined,
      {
        accepted: () => undefined,
        ready: () => void this.subscribe(link),
        message: (message, done) => {
          this.take(message);
          done();
        },
        released: () => undefined,
        failed: (failure) => {
          this.failed(failure);
        },
      },
      true,
    );
    this.link = link;
    link.open();
  }

  private async subscribe(link: Link): Promise<void> {
    // What is retained comes right behind the answer.
    this.isLooking = true;
    let code: number;
    try {
      [code = 0x80] = await link.subscribe([this.filter], 0);
    } catch (error) {
      // Where the connection is lost this comes after that was told.
      link.abort({ text: error instanceof Error ? error.message : String(error), kind: 'other' });
      return;
    }
    if (code >= 0x80) this.end(`it refuses ${this.filter}: ${subackText(code)}`);
    else if (this.losses > 0 && !this.isOver) this.tell('is looked at again');
    this.hasLooked = true;
  }

  private failed({ text, kind }: Failure): void {
    if (this.isOver) return;
    const wasLooking = this.isLooking;
    this.isLooking = false;
    if (kind === 'size') this.end(`${text}; ${this.advice}`);
    else if (!this.hasLooked || kind === 'refused' || kind === 'tls') this.end(text);
    else {
      if (wasLooking) this.tell(`is lost: ${text}; it is looked at again when it is back`);
      this.losses += 1;
      const pauseMs = backOffMs(this.losses, this.parts.random(), FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
      this.cancelPause = this.parts.after(pauseMs, () => {
        this.connect();
      });
    }
  }

  private take({ topic, payload, retain }: Incoming): void {
    if (this.isOver) return;
    if (!this.hasRoomFor(payload.length)) {
      this.end(`more comes than can be shown; ${this.advice}`);
      return;
    }
    if (!isOwnTopic(topic)) this.hasSeen = true;
    if (this.isKnown(topic) || !this.isOneOfFew(topic)) return;
    this.observer.saw({ topic, payload, retain, connection: this.options.name });
  }

  private hasRoomFor(bytes: number): boolean {
    const cost = 1 + Math.floor(bytes / BYTES_LIKE_ONE);
    return this.room.take(cost, this.parts.monotonicMs()) === cost;
  }

  private isOneOfFew(topic: string): boolean {
    if (this.topics.has(topic)) return true;
    if (this.topics.size < MOST_TOPICS) {
      this.topics.add(topic);
      return true;
    }
    if (!this.isFull)
      this.tell(`has more than ${MOST_TOPICS} topics below ${this.filter}: the others are left out`);
    this.isFull = true;
    return false;
  }

  /** Some brokers grant a subscription, and hold back what this user may not read. */
  private tellQuiet(): void {
    if (this.hasSeen) return;
    if (this.isLooking) {
      this.observer.note(
        `nothing has come from connection ${this.options.name} yet: either nothing was published there for ${this.filter}, or that broker does not let this user read it`,
      );
    } else if (!this.hasLooked) this.tell('has not answered yet');
  }

  private get advice(): string {
    return `look with a filter that is narrower than ${this.filter}`;
  }

  private tell(what: string): void {
    this.observer.note(`connection ${this.options.name} ${what}`);
  }

  private end(reason: string): void {
    if (this.isOver) return;
    this.tell(`cannot be looked at: ${reason}`);
    void this.stop();
  }
}
