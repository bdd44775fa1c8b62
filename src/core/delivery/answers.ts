/**
 * What an answer, or the lack of one, does to the keys of its call.
 *
 * An item of a call is either in flight (`key.flight`), with what it carries noted on its key, or a repair: that is
 * idempotent and barred by `key.repair` alone. Which of both it was is told by the flight, not by the key's kind: a
 * mapping may have changed that since the call began.
 */
import type { EpochMs } from '../time.ts';
import { add, subtract, type Units } from '../units.ts';
import { holdElsewhere, isStillAt } from './another.ts';
import type { Draft } from './draft.ts';
import { land } from './flight.ts';
import { followUp, judgeSum, judgeValue, type Moment, type Remark } from './judge.ts';
import { findInRead, loseAttribute, loseOwnership, missFromRead } from './ownership.ts';
import { followUpAt } from './pace.ts';
import type { Answer, Failure, Request, WriteItem, WriteSuccess } from './request.ts';
import type { Key } from './state.ts';

type WriteRequest = Request & { kind: 'increment' | 'update' };

/** Marks the items of a write as on their way. */
export function depart(draft: Draft, request: WriteRequest): void {
  for (const item of request.items) {
    const key = draft.key(item.attribute, item.day);
    if (!key) continue;
    key.sentAt = draft.now;
    if (key.kind === 'sum' && request.kind === 'update') continue; // a repair
    key.flight = 'sending';
    key.flightSince = draft.now;
    key.openSince = null;
    if (request.kind === 'update') key.flightValue = item.value;
    else if (typeof item.value === 'number') key.flightAmount = item.value;
  }
}

/** The call surely changed nothing: its items are open again. */
export function returnAll(draft: Draft, request: WriteRequest): void {
  for (const item of request.items) reopen(draft, item);
}

function reopen(draft: Draft, item: WriteItem): void {
  const key = draft.key(item.attribute, item.day);
  if (key?.flight !== 'sending') return;
  key.openSince ??= draft.now;
  // The value that the day is written as by now has it in it.
  if (isVoid(key)) key.dropped = add(key.dropped, key.flightAmount);
  land(key);
}

/** What an `increment` carried has been written over since. */
function isVoid(key: Key): boolean {
  return key.kind === 'value' || key.fixed?.by === 'mapping';
}

/** Nobody knows what the call changed: its items rest, then they are read back. */
export function doubtAll(draft: Draft, request: WriteRequest): void {
  for (const item of request.items) doubt(draft, item, request.kind);
}

function doubt(draft: Draft, item: WriteItem, kind: WriteRequest['kind']): void {
  const key = draft.key(item.attribute, item.day);
  if (!key) return;
  if (key.kind === 'value') key.doubted = true;
  if (key.flight === 'sending') {
    key.flight = 'unknown';
    key.flightSince = draft.now;
    if (!isStillAt(draft, item.attribute, item.name)) holdElsewhere(key, draft.now);
  } else if (kind === 'update' && key.flight === 'none') {
    // A repair is idempotent: look again once it has rested, judge anew, and send nothing more till then.
    if (key.kind === 'sum') {
      key.seenAt = null;
      // It may arrive yet, after whatever is written next.
      key.doubt = Math.max(key.doubt, 1) as Units;
    }
    key.lookAt = (draft.now + draft.settings.settleMs) as typeof draft.now;
  }
}

/** Takes the answer to a write item by item. */
export function takeWrite(draft: Draft, request: WriteRequest, answer: Answer & { kind: 'written' }): void {
  if (request.kind === 'increment' && answer.success.length > 0) {
    draft.account.datesEchoed = answer.success.every((item) => item.day !== undefined);
  }
  for (const item of request.items) {
    const success = answer.success.find((listed) => isAbout(item, listed, request));
    const failure = answer.failed.find((listed) => isAbout(item, listed, request));
    if (success && !failure) succeed(draft, request.kind, item, success);
    else if (failure && !success) fail(draft, request.kind, item, failure);
    else {
      doubt(draft, item, request.kind);
      draft.note({
        level: 'warn',
        attribute: item.attribute,
        day: item.day,
        text: 'the answer does not tell what became of it: it will be read back',
      });
    }
  }
}

/** By name, and by date where the answer carries one; without dates a name stands once in a call. */
function isAbout(
  item: WriteItem,
  listed: { readonly name: string | undefined; readonly day: string | undefined },
  request: WriteRequest,
): boolean {
  if (listed.name !== item.name) return false;
  if (listed.day !== undefined) return listed.day === item.day;
  return request.items.filter((other) => other.name === item.name).length === 1;
}

function succeed(draft: Draft, kind: WriteRequest['kind'], item: WriteItem, success: WriteSuccess): void {
  const key = draft.key(item.attribute, item.day);
  if (!key) return;
  const attribute = draft.readonlyAttribute(item.attribute);
  if (attribute?.reacquired) {
    const changed = draft.attribute(item.attribute);
    if (changed) changed.reacquired = false;
  }
  if (!isStillAt(draft, item.attribute, item.name)) bookElsewhere(draft, key);
  else if (kind === 'increment') bookIncrement(draft, key, success.current);
  else bookUpdate(draft, key, item.value);
}

/** It was applied to what the attribute was at Exist before: nothing is known of what stands in the new one. */
function bookElsewhere(draft: Draft, key: Key): void {
  if (key.flight !== 'sending') return; // a repair
  if (key.kind === 'value' || isVoid(key)) key.dropped = add(key.dropped, key.flightAmount);
  else key.ours = add(key.ours, key.flightAmount);
  land(key);
  if (key.kind === 'value') key.openSince ??= draft.now;
}

/** The day stands at `value`. */
function bookUpdate(draft: Draft, key: Key, value: Units | string): void {
  const isRepair = key.flight !== 'sending';
  if (!isRepair) land(key);
  key.seen = typeof value === 'string' && key.kind === 'sum' ? null : value;
  if (key.kind === 'value') {
    key.seenAt = draft.now;
    key.delivered = value;
    key.adopted = null;
    key.based = true;
    if (value !== key.wanted) key.openSince ??= draft.now;
    return;
  }
  if (key.fixed) {
    // Unless it is another total by now.
    key.repair = value !== key.fixed.total;
    if (!key.repair) key.fixed = null;
  } else {
    key.repair = false;
  }
  // What is still to be set right is looked at first.
  key.seenAt = key.repair || key.seen === null ? null : draft.now;
  key.repairs += isRepair ? 1 : 0;
  followUp(key, momentOf(draft));
}

function bookIncrement(draft: Draft, key: Key, current: Units | undefined): void {
  const amount = key.flightAmount;
  if (isVoid(key)) key.dropped = add(key.dropped, amount);
  else key.ours = add(key.ours, amount);
  land(key);
  if (key.kind === 'value') {
    if (typeof key.delivered === 'number') key.delivered = add(key.delivered, amount);
    return;
  }
  if (current === undefined || key.fixed) {
    key.lookAt = draft.now;
    return;
  }
  const mode = draft.readonlyAttribute(key.attribute)?.mode ?? 'guarded';
  // An answer that is too high by what was sent, give or take what is in doubt besides (a lost update may come late
  // and lower it), speaks of a proxy that sent it twice, not of somebody who edited the day by that amount.
  const excess = subtract(current, add(key.base ?? (0 as Units), key.ours));
  if (mode === 'guarded' && amount > 0 && excess > 0 && Math.abs(excess - amount) <= key.doubt) {
    key.doubt = add(key.doubt, amount);
  }
  remark(draft, key, judgeSum(key, mode, current, momentOf(draft)));
}

function fail(draft: Draft, kind: WriteRequest['kind'], item: WriteItem, failure: Failure): void {
  const key = draft.key(item.attribute, item.day);
  if (!key) return;
  reopen(draft, item);
  // What the one before would not take is sent to the new one.
  if (!isStillAt(draft, item.attribute, item.name)) return;
  if (failure.code === 'unauthorised' || failure.code === 'unauthorized') {
    loseOwnership(draft, item.attribute, failure);
    return;
  }
  if (failure.code === 'not_found') {
    loseAttribute(draft, item.attribute, failure);
    return;
  }
  const said = `${failure.code}: ${failure.message}`;
  // The day is written whole by now, and what it is written as has that amount in it.
  const isPast = kind === 'increment' && isVoid(key);
  // A repair stays one: what is missing at Exist is what is held.
  if (!isPast) key.held = { state: 'refused', reason: said, since: draft.now };
  draft.note({
    level: 'error',
    attribute: item.attribute,
    day: item.day,
    text: `Exist refused it (${said}): ${isPast ? 'the mapping writes the day whole now' : 'set aside'}`,
  });
}

/** Judges every key of the look by the values shown. */
export function takeRead(
  draft: Draft,
  request: Request & { kind: 'read' },
  answer: Answer & { kind: 'read' },
): void {
  const found = new Set(request.items.map(({ attribute }) => attribute));
  const missed = new Set<string>();
  for (const item of request.items) {
    if (!isStillAt(draft, item.attribute, item.name)) continue;
    const shown = answer.values.get(item.name)?.get(item.day);
    if (shown === undefined) {
      missed.add(item.attribute);
      continue;
    }
    const key = draft.key(item.attribute, item.day);
    if (!key) continue;
    if (key.held) {
      witness(key, shown, draft.now);
      continue;
    }
    const mode = draft.readonlyAttribute(item.attribute)?.mode ?? 'guarded';
    const wasFollowUp = key.flight === 'none' && key.lookAt !== null && key.lookAt <= draft.now;
    if (wasFollowUp) {
      key.looksLeft = Math.max(0, key.looksLeft - 1);
      key.lookAt = key.looksLeft === 0 ? null : followUpAt(draft.now, key.looksLeft, draft.settings.settleMs);
    }
    remark(draft, key, judge(key, mode, shown, draft));
  }
  for (const name of found) {
    if (missed.has(name)) missFromRead(draft, name);
    else findInRead(draft, name);
  }
}

/** What stands there is shown beside what is held, for the user to decide by; it decides nothing itself. */
function witness(key: Key, shown: Units | string | null, now: EpochMs): void {
  key.lookAt = null;
  if (key.kind === 'value') key.seen = shown ?? key.seen;
  else if (typeof shown === 'string') return;
  else key.seen = shown ?? (0 as Units);
  key.seenAt = now;
}

function judge(
  key: Key,
  mode: Parameters<typeof judgeSum>[1],
  shown: Units | string | null,
  draft: Draft,
): Remark {
  if (key.kind === 'value') return judgeValue(key, mode, shown, momentOf(draft));
  if (typeof shown === 'string') {
    key.held = {
      state: 'refused',
      reason: `Exist shows text (${shown}) where a number belongs`,
      since: draft.now,
    };
    return key.held.reason;
  }
  return judgeSum(key, mode, shown, momentOf(draft));
}

function remark(draft: Draft, key: Key, text: Remark): void {
  if (text === undefined) return;
  draft.note({ level: key.held ? 'error' : 'warn', attribute: key.attribute, day: key.day, text });
}

function momentOf({ now, settings }: Draft): Moment {
  return { now, settleMs: settings.settleMs };
}
