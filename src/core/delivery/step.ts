/**
 * The delivery of contributions to Exist, one call at a time, as a pure reducer.
 *
 * ```
 *                 ┌───────────── wake: nothing to do, or not yet ─────────────┐
 *                 ▼                                                           │
 *               IDLE ──wake──▶ plan ──▶ the decision is on disk ──▶ CALLING ──┤ answered
 *                 ▲                     (write-ahead: items and amounts       │
 *                 └──────────────────────  are frozen before a byte leaves)   │
 *                                                                             ▼
 *   answered, whole      item by item: applied → booked, `current` judged
 *                                      refused → acquired again, or set aside with Exist's words
 *                                      in neither list → unknown
 *   not sent             the same items are open again, after a pause (back-off, 429) or a hold (401, 403)
 *   unknown, or a crash  the items rest for `settle`, are read back and judged one by one (judge.ts):
 *                        never sent again on a guess
 *
 *   one key:   open ──▶ sending ──applied──▶ booked ──looks, audit──▶ closed
 *                          │ unknown            │ Exist shows something else
 *                          ▼                    ▼
 *                      unknown ──read back──▶ repair ──update──▶ booked
 *                          └──▶ conflict: held for the user     refused: set aside with Exist's words
 * ```
 *
 * Contributions do not pass through here: the ledger adds them to their keys, whatever the delivery is doing.
 * The rules: `docs/decisions/0001-unknown-outcomes.md`.
 */
import { DAY_MS, addDays, localDate, type EpochMs, type LocalDate } from '../time.ts';
import { depart, doubtAll, returnAll, takeRead, takeWrite } from './answers.ts';
import { boundInstants, correctClock } from './correction.ts';
import { Draft, type Decision } from './draft.ts';
import type { Outcome } from './outcome.ts';
import { takeOwned, takeOwnership } from './ownership.ts';
import {
  HOLD_PROBE,
  NETWORK_BACK_OFF,
  RATE_LIMIT_BACK_OFF,
  after,
  backOffMs,
  nextAuditAt,
  spend,
} from './pace.ts';
import { hasSendable, plan } from './plan.ts';
import { isWrite, type Answer, type Request } from './request.ts';
import { settle, type Settlement } from './settlement.ts';
import type { CallInFlight, DeliveryState, Key, Settings } from './state.ts';

export type Event =
  /** The daemon is up: a call found in flight was cut off by the end of the last run. */
  | { readonly type: 'started' }
  /** Time has passed, or contributions have come. */
  | { readonly type: 'wake' }
  /** The call's outcome. */
  | { readonly type: 'answered'; readonly callId: number; readonly outcome: Outcome<Answer> }
  /** The user decided about held items. */
  | { readonly type: 'settled'; readonly settlement: Settlement }
  /** The clock was wrong by so much. */
  | { readonly type: 'corrected'; readonly byMs: number }
  /** The token or the configuration changed: try again at once what was on hold. */
  | { readonly type: 'reloaded' }
  /** There is another access token than the one that was refused. */
  | { readonly type: 'authorised' };

/** What a step knows of the world around it. */
export interface Circumstances {
  readonly settings: Settings;
  readonly now: EpochMs;
  /** In [0, 1). */
  readonly random: number;
  /** The daemon is going down, or does not know the time: outcomes are still taken, no call is begun. */
  readonly beginsNothing?: boolean;
}

/**
 * Decides what follows from `event`. The caller writes the decision in one transaction **before** it makes the
 * call that the decision names, and answers every call with exactly one `answered`.
 */
export function step(state: DeliveryState, event: Event, circumstances: Circumstances): Decision {
  const { settings, now, random } = circumstances;
  const draft = new Draft(state, settings, now, random);
  switch (event.type) {
    case 'started':
      start(draft);
      break;
    case 'answered':
      if (draft.account.call?.id === event.callId) finish(draft, draft.account.call, event.outcome);
      break;
    case 'settled':
      settle(draft, event.settlement);
      break;
    case 'reloaded':
      draft.account.hold = null;
      // A limit is Exist's to lift.
      if (draft.account.pause?.reason !== 'rate-limited') draft.account.pause = null;
      break;
    case 'authorised':
      if (draft.account.hold?.reason === 'unauthorised') draft.account.hold = null;
      break;
    case 'corrected':
      correctClock(draft, event.byMs);
      break;
    case 'wake':
      break;
  }
  if (draft.account.call || circumstances.beginsNothing) return draft.decide(undefined, undefined);
  tidy(draft);
  const { request, wakeAt } = plan(draft);
  if (request) begin(draft, request);
  return draft.decide(request, wakeAt);
}

function begin(draft: Draft, request: Request): void {
  const { account, now } = draft;
  account.lastCallId += 1;
  account.call = { id: account.lastCallId, startedAt: now, request };
  spend(account, now);
  if (isWrite(request)) depart(draft, request);
}

function start(draft: Draft): void {
  const { account, now } = draft;
  boundInstants(draft);
  const cut = account.call;
  if (cut) {
    if (isWrite(cut.request)) doubtAll(draft, cut.request);
    account.call = null;
    draft.finished = {
      id: cut.id,
      request: cut.request,
      startedAt: cut.startedAt,
      finishedAt: now,
      outcome: 'crashed',
      detail: 'the daemon ended before the answer came',
    };
  }
  account.nextAuditAt = now;
}

function finish(draft: Draft, call: CallInFlight, outcome: Outcome<Answer>): void {
  const { account, now } = draft;
  const { request } = call;
  account.call = null;
  draft.finished = {
    id: call.id,
    request,
    startedAt: call.startedAt,
    finishedAt: now,
    outcome: outcome.kind,
    detail: outcome.kind === 'answered' ? String(outcome.status) : outcome.message,
  };
  if (outcome.kind === 'answered') {
    account.failures = 0;
    account.rateLimits = 0;
    account.hold = null;
    account.pause = null;
    account.lastSuccessAt = now;
    take(draft, request, outcome.body);
    return;
  }
  if (isWrite(request)) {
    if (outcome.kind === 'not-sent') returnAll(draft, request);
    else doubtAll(draft, request);
  }
  rest(draft, outcome);
}

function take(draft: Draft, request: Request, answer: Answer): void {
  switch (answer.kind) {
    case 'profile':
      if (draft.account.timezone !== null && draft.account.timezone !== answer.timezone) {
        draft.note({ level: 'info', text: `the account's time zone is ${answer.timezone} now` });
      }
      draft.account.timezone = answer.timezone;
      draft.account.zoneIsOld = false;
      break;
    case 'owned':
      takeOwned(draft, answer);
      break;
    case 'ownership':
      takeOwnership(draft, request, answer);
      break;
    case 'read':
      if (request.kind === 'read') takeRead(draft, request, answer);
      break;
    case 'written':
      if (isWrite(request)) takeWrite(draft, request, answer);
      break;
  }
}

/** After a call without an answer: how long to leave Exist alone, and why. */
function rest(draft: Draft, outcome: Exclude<Outcome<Answer>, { kind: 'answered' }>): void {
  const { account, now, random } = draft;
  const { message } = outcome;
  account.failures += 1;
  const cause = outcome.kind === 'unknown' ? 'unknown' : outcome.cause;
  if (cause === 'unauthorised' || cause === 'forbidden') {
    const until = after(now, backOffMs(account.failures, random, HOLD_PROBE.firstMs, HOLD_PROBE.mostMs));
    account.hold = { until, since: account.hold?.since ?? now, reason: cause, message };
    return;
  }
  if (outcome.kind === 'not-sent' && cause === 'rate-limited') {
    account.rateLimits += 1;
    const grownMs = backOffMs(account.rateLimits, 1, RATE_LIMIT_BACK_OFF.firstMs, RATE_LIMIT_BACK_OFF.mostMs);
    // What is asked for may be nothing, and the next call refused again.
    const leastMs = backOffMs(account.rateLimits, 1, NETWORK_BACK_OFF.firstMs, RATE_LIMIT_BACK_OFF.mostMs);
    const until = after(now, Math.min(Math.max(outcome.retryAfterMs ?? grownMs, leastMs), DAY_MS));
    account.pause = { until, since: account.pause?.since ?? now, reason: 'rate-limited', message };
    return;
  }
  const until = after(
    now,
    backOffMs(account.failures, random, NETWORK_BACK_OFF.firstMs, NETWORK_BACK_OFF.mostMs),
  );
  const reason = cause === 'unknown' ? 'unknown' : 'network';
  account.pause = { until, since: account.pause?.since ?? now, reason, message };
  // Held while the token does not work, and now not even reachable: the probe waits as well.
  if (account.hold) account.hold = { ...account.hold, until };
}

/** What time alone brings about: the audit, keys that are done, fractions that wait for a whole unit. */
function tidy(draft: Draft): void {
  const { account, settings, now } = draft;
  const zone = settings.timezone ?? account.timezone ?? 'UTC';
  if (account.nextAuditAt !== null && account.nextAuditAt <= now) {
    account.nextAuditAt = nextAuditAt(now, zone, draft.random);
    account.zoneIsOld = true;
    for (const found of [...draft.keys()]) {
      const key = isAudited(found) ? draft.key(found.attribute, found.day) : undefined;
      if (key) key.lookAt = now;
    }
  }
  const closing = addDays(localDate(now, zone), -2);
  for (const { attribute, day } of [...draft.keys()].filter((key) => mayChange(draft, key, closing))) {
    const key = draft.key(attribute, day);
    if (!key) continue;
    if (!hasSendable(draft, key)) key.openSince = null;
    if (isDone(draft, key, closing)) key.closed = true;
  }
}

/** What is held is not judged, but the user is to decide by what stands there now. */
function isAudited(key: Readonly<Key>): boolean {
  if (key.held) return true;
  if (key.flight !== 'none') return false;
  return key.kind === 'sum' ? key.base !== null : key.delivered !== null;
}

function mayChange(draft: Draft, key: Readonly<Key>, closing: LocalDate): boolean {
  if (key.openSince !== null && !hasSendable(draft, key)) return true;
  return isDone(draft, key, closing);
}

/** Nothing is open, and audits of two nights since the last call found it as it should be. */
function isDone(draft: Draft, key: Readonly<Key>, closing: LocalDate): boolean {
  if (key.day > closing || (key.sentAt !== null && draft.now - key.sentAt < 2 * DAY_MS)) return false;
  if (key.held || key.flight !== 'none' || key.lookAt !== null || hasSendable(draft, key)) return false;
  return key.kind === 'value' || (!key.repair && !key.fixed);
}
