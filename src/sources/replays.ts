/**
 * Tells replays of retained messages from messages that somebody published just now.
 *
 * A broker sets the retain flag on what it delivers because of a new subscription and clears it on what it
 * forwards [MQTT-3.3.1-8, MQTT-3.3.1-9, MQTT-3.3.1-12]; some small brokers keep it on both. Subscriptions do not
 * overlap here, so a topic is replayed at most once for each SUBSCRIBE. The flag alone decides in the window after
 * one; later, the first flagged message of a topic is a replay that came late (brokers feed thousands of retained
 * messages slowly), and any further one is a live message of a broker that keeps the flag. What a live message
 * with the flag counts depends on the topic's stored state, which is the mappings' to know.
 *
 * The window is begun by each connection too: the broker's queue may hold a replay that was not delivered before.
 */

export const WINDOW_MS = 60_000;
/** Past it, every flagged message is taken for a replay. */
const MOST_TOPICS = 10_000;

export class Replays {
  private readonly replayed = new Set<string>();
  private windowEndsAt = 0;
  private foundKept = false;

  constructor(
    /** This broker keeps the flag on what it forwards; told once. */
    private readonly onKeepsFlag: (topic: string) => void,
  ) {}

  /** A connection begins, or a SUBSCRIBE leaves. `now` is monotonic. */
  begin(now: number): void {
    this.replayed.clear();
    this.windowEndsAt = now + WINDOW_MS;
  }

  isReplay(topic: string, { retain, dup }: { retain: boolean; dup: boolean }, now: number): boolean {
    if (!retain) return false;
    // A second copy is what the first one was; that one may have come over an earlier connection.
    const isKept = this.replayed.has(topic) && now >= this.windowEndsAt && !dup;
    if (!isKept) {
      if (this.replayed.size < MOST_TOPICS) this.replayed.add(topic);
      return true;
    }
    if (!this.foundKept) this.onKeepsFlag(topic);
    this.foundKept = true;
    return false;
  }
}
