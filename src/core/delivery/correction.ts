/**
 * What the delivery remembers of the time, when the clock turns out to have been wrong.
 */
import { HOUR_MS, type EpochMs } from '../time.ts';
import type { Draft } from './draft.ts';
import { after, spentMoved } from './pace.ts';
import type { Rest } from './state.ts';

/** The longest that anything waits for, but for a server's own Retry-After. */
const LONGEST_WAIT_MS = 2 * HOUR_MS;

/** The clock was wrong by so much: what waits goes on waiting as long as it still had to. */
export function correctClock(draft: Draft, byMs: number): void {
  const moved = (at: EpochMs): EpochMs => after(at, byMs);
  moveInstants(draft, moved, moved);
  draft.account.spent = spentMoved(draft.account, byMs);
  draft.account.nextAuditAt = draft.now;
}

/** The clock may have been set back while nobody looked: nothing happened in the future, or waits for days. */
export function boundInstants(draft: Draft): void {
  const { now } = draft;
  moveInstants(
    draft,
    (at) => Math.min(at, now) as EpochMs,
    (at) => Math.min(at, now + LONGEST_WAIT_MS) as EpochMs,
  );
}

type Move = (at: EpochMs) => EpochMs;

/** @param told moves instants at which something happened; `awaited` those at which something is due */
function moveInstants(draft: Draft, told: Move, awaited: Move): void {
  const { account } = draft;
  const maybe = (move: Move, at: EpochMs | null): EpochMs | null => (at === null ? null : move(at));
  const rest = (of: Rest | null): Rest | null =>
    of && { ...of, since: told(of.since), until: awaited(of.until) };
  account.hold = rest(account.hold);
  account.pause = rest(account.pause);
  account.lastFlushAt = maybe(told, account.lastFlushAt);
  account.lastSuccessAt = maybe(told, account.lastSuccessAt);
  for (const { name, retryAt } of [...draft.attributes()]) {
    const attribute = retryAt === null || awaited(retryAt) === retryAt ? undefined : draft.attribute(name);
    if (attribute) attribute.retryAt = maybe(awaited, attribute.retryAt);
  }
  for (const { attribute, day, openSince, flightSince, sentAt, seenAt, lookAt } of [...draft.keys()]) {
    const pasts = [openSince, flightSince, sentAt, seenAt];
    const isRight =
      pasts.every((at) => at === null || told(at) === at) && (lookAt === null || awaited(lookAt) === lookAt);
    const key = isRight ? undefined : draft.key(attribute, day);
    if (!key) continue;
    key.openSince = maybe(told, openSince);
    key.flightSince = maybe(told, flightSince);
    key.sentAt = maybe(told, sentAt);
    key.lookAt = maybe(awaited, lookAt);
    key.seenAt = maybe(told, seenAt);
  }
}
