/**
 * Messages taken before their time could be told: a Pi has no clock of its own, and no zone before it first spoke
 * with Exist. They are kept as they came, with the monotonic clock and the boot they came in, acknowledged, and
 * dated in their order once time and zone are known. Those of a boot that never knew the time are dated as late as
 * they can have come: as if each next boot had followed at once. Those whose mapping is gone by then are refused: they
 * were acknowledged, so that they do not count is shown.
 */
import type { DeliveryMark, UndatedMessage } from '../core/journal.ts';
import type { Message } from '../core/reading.ts';
import type { EpochMs } from '../core/time.ts';
import type { Sighting } from '../core/sighting.ts';
import { sightingOf, type Changed, type Interpreter, type ReadMessage } from './interpreter.ts';
import type { IntakeParts } from './ports.ts';

const MOST_AT_ONCE = 500;
const MAPPING_REMOVED = 'its mapping was removed before the time was known';

export class Undated<Parsed> {
  /** Later messages queue up behind these. */
  isWaiting = false;
  private dating: Promise<void> | undefined;
  private isStopped = false;

  constructor(
    private readonly parts: IntakeParts<Parsed>,
    private readonly interpreter: Interpreter<Parsed>,
    private readonly onChanged: (changed: Changed) => void,
  ) {}

  start(): void {
    this.isWaiting = this.parts.journal.undated(1).length > 0;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.dating;
  }

  /** Only within the journal's transaction. */
  keep({ topic, payload, retain, replay }: Message, mark: DeliveryMark | undefined): void {
    const { journal, bootId, clock } = this.parts;
    journal.addUndated({
      bootId,
      monotonicMs: clock.monotonicMs(),
      topic,
      payload,
      retain,
      replay,
      delivery: mark,
    });
    this.isWaiting = true;
  }

  /** Dates what waits, oldest first, until nothing waits any more. */
  date(): void {
    if (!this.isWaiting || this.dating) return;
    this.dating = this.dateAll()
      .catch((error: unknown) => {
        this.parts.onFault(error);
      })
      .finally(() => {
        this.dating = undefined;
      });
  }

  private async dateAll(): Promise<void> {
    while (!this.isStopped) {
      const messages = this.parts.journal.undated(MOST_AT_ONCE);
      if (messages.length === 0) {
        this.isWaiting = false;
        return;
      }
      await this.dateSome(messages);
    }
  }

  private async dateSome(messages: readonly UndatedMessage[]): Promise<void> {
    const { journal } = this.parts;
    const bootedAt = this.boots();
    const read: ReadMessage<Parsed>[] = [];
    let estimated = 0;
    for (const undated of messages) {
      const { topic, payload, retain, replay, delivery, bootId, monotonicMs } = undated;
      const receivedAt = Math.round((bootedAt.get(bootId) ?? 0) + monotonicMs) as EpochMs;
      const message: Message = { topic, payload, retain, replay, receivedAt };
      if (bootId !== this.parts.bootId) estimated += 1;
      const rules = this.interpreter.match(topic);
      read.push({
        message,
        mark: delivery,
        rules,
        extractions: await this.interpreter.extract(payload, rules),
      });
    }
    const zone = this.parts.zone();
    if (zone === undefined) return;
    const changed: Changed = new Map();
    const seen: Sighting[] = [];
    const contributed = journal.transact(() => {
      let isContribution = false;
      for (const entry of read) {
        // Kept for a mapping that had it then.
        const applied =
          entry.rules.length === 0
            ? this.interpreter.refuse(entry, MAPPING_REMOVED)
            : this.interpreter.apply(entry, zone, changed);
        isContribution ||= applied.contributions.length > 0;
        seen.push(sightingOf(entry, applied));
      }
      for (const { seq } of messages) journal.removeUndated(seq);
      return isContribution;
    });
    this.onChanged(changed);
    for (const sighting of seen) this.parts.onSeen(sighting);
    if (estimated > 0) this.parts.onEstimated(estimated);
    if (contributed) this.parts.onContributions();
  }

  /** When each boot began: this one for certain, an earlier one at the latest. */
  private boots(): Map<string, number> {
    const { clock, bootId, journal } = this.parts;
    let bootedAt = clock.now() - clock.monotonicMs();
    const found = new Map([[bootId, bootedAt]]);
    for (const { bootId: earlier, lastMs } of journal.undatedBoots().reverse()) {
      if (found.has(earlier)) continue;
      bootedAt -= lastMs;
      found.set(earlier, bootedAt);
    }
    return found;
  }
}
