/**
 * What an answer, or the lack of one, does to the keys of its call.
 */
import { add, subtract, type Units } from '../units.ts';
import type { Draft } from './draft.ts';
import { followUp, judgeSum, judgeValue, type Moment, type Remark } from './judge.ts';
import { loseAttribute, loseOwnership, missFromRead } from './ownership.ts';
import { followUpAt } from './pace.ts';
import type { Answer, Failure, Request, WriteItem, WriteSuccess } from './request.ts';
import type { Key, SumKey, ValueKey } from './state.ts';

type WriteRequest = Request & { kind: 'increment' | 'update' };

/** Marks the items of a write as on their way. */
export function depart(draft: Draft, request: WriteRequest): void {
  for (const item of request.items) {
    const key = draft.key(item.attribute, item.day);
    if (!key) continue;
    key.sentAt = draft.now;
    if (key.kind === 'sum' && request.kind === 'update') continue; // a repair: the key is barred by `repair` itself
    key.flight = 'sending';
    key.flightSince = draft.now;
    key.openSince = null;
    if (key.kind === 'sum') key.flightAmount = item.value as Units;
    else key.flightValue = item.value;
  }
}

/** The call surely changed nothing: its items are open again. */
export function returnAll(draft: Draft, request: WriteRequest): void {
  for (const item of request.items) reopen(draft, item);
}

function reopen(draft: Draft, item: WriteItem): void {
  const key = draft.key(item.attribute, item.day);
  if (key?.flight !== 'sending') return;
  key.flight = 'none';
  key.flightSince = null;
  key.openSince ??= draft.now;
  if (key.kind === 'sum') key.flightAmount = 0 as Units;
  else key.flightValue = null;
}

/** Nobody knows what the call changed: its items rest, then they are read back. */
export function doubtAll(draft: Draft, request: WriteRequest): void {
  for (const item of request.items) doubt(draft, item, request.kind);
}

function doubt(draft: Draft, item: WriteItem, kind: WriteRequest['kind']): void {
  const key = draft.key(item.attribute, item.day);
  if (!key) return;
  if (key.kind === 'sum' && kind === 'update') {
    // A repair is idempotent: look again once it has rested, judge anew, and send nothing more till then.
    key.seenAt = null;
    key.lookAt = (draft.now + draft.settings.settleMs) as typeof draft.now;
    return;
  }
  if (key.flight !== 'sending') return;
  key.flight = 'unknown';
  key.flightSince = draft.now;
  if (key.kind === 'value') key.doubted = true;
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
    else if (failure && !success) fail(draft, item, failure);
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
  if (key.kind === 'value') {
    key.delivered = item.value;
    landValue(key);
  } else if (kind === 'update') {
    key.repair = false;
    key.repairs += 1;
    key.seen = item.value as Units;
    followUp(key, momentOf(draft));
  } else {
    bookIncrement(draft, key, success.current);
  }
}

function bookIncrement(draft: Draft, key: SumKey, current: Units | undefined): void {
  const amount = key.flightAmount;
  key.ours = add(key.ours, amount);
  key.flight = 'none';
  key.flightSince = null;
  key.flightAmount = 0 as Units;
  if (current === undefined) {
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

function landValue(key: ValueKey): void {
  key.flight = 'none';
  key.flightSince = null;
  key.flightValue = null;
  key.based = true;
  key.seen = key.delivered;
}

function fail(draft: Draft, item: WriteItem, failure: Failure): void {
  const key = draft.key(item.attribute, item.day);
  if (!key) return;
  reopen(draft, item);
  if (failure.code === 'unauthorised' || failure.code === 'unauthorized') {
    loseOwnership(draft, item.attribute, failure);
    return;
  }
  if (failure.code === 'not_found') {
    loseAttribute(draft, item.attribute, failure);
    return;
  }
  key.held = { state: 'refused', reason: `${failure.code}: ${failure.message}`, since: draft.now };
  if (key.kind === 'sum') key.repair = false;
  draft.note({
    level: 'error',
    attribute: item.attribute,
    day: item.day,
    text: `Exist refused it (${failure.code}: ${failure.message}): set aside`,
  });
}

/** Judges every key of the look by the values shown. */
export function takeRead(
  draft: Draft,
  request: Request & { kind: 'read' },
  answer: Answer & { kind: 'read' },
): void {
  for (const item of request.items) {
    const values = answer.values.get(item.name);
    const shown = values?.get(item.day);
    const key = draft.key(item.attribute, item.day);
    if (!key || key.held) continue;
    if (shown === undefined) {
      missFromRead(draft, item.attribute);
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
