/**
 * The login at Exist by OAuth2: a pair of tokens, and when it is renewed, as a pure reducer.
 *
 * ```
 *            login                    401, or its end is near
 *   NONE ────────────▶ VALID ──────────────────────────────────────▶ RENEWING   on disk before the request leaves
 *                      ▲ ▲ ▲                                          │ │ │ │
 *                      │ │ └── granted: the new pair is on disk ──────┘ │ │ └── refused, and the access token was
 *                      │ │     before it is used                        │ │     refused as well ──▶ DEAD: log in again
 *                      │ └──── not sent: after a pause, once more ──────┘ │
 *   access accepted    │                                                  │ unknown, or a crash
 *                      └─────────────────────── DOUBTFUL ◀────────────────┘
 *                                                  └── 401: RENEWING after a pause, with the old refresh token
 * ```
 *
 * A refresh kills both old tokens at once, and its answer may be lost. Whether it was applied shows in the old
 * access token: the delivery's next call tries it, and a 401 means "not sent", so trying costs nothing. Only then
 * the old refresh token is tried. A pair is dead once Exist has refused both of its tokens, and not before.
 *
 * Each refresh is preceded by a 401 or by the coming end of the pair, one at a time, with growing pauses until an
 * access token has been accepted: an Exist that answers 401 to everything cannot send us round in circles.
 *
 * A refresh is no call of the user's: the hour's budget counts calls by access token, and it carries none.
 */
import { DAY_MS, HOUR_MS, SECOND_MS, type EpochMs } from './time.ts';

/** What Exist issued. */
export interface Issued {
  readonly access: string;
  /** Absent: the one before stays good (RFC 6749, 6). */
  readonly refresh?: string;
  /** Scopes, with blanks between; empty where Exist does not tell. */
  readonly scope: string;
  readonly expiresInMs?: number;
}

export interface Login {
  /** Made by `mqtt2exist login`: tells one login from the next. */
  readonly id: string;
  readonly access: string;
  readonly refresh: string;
  readonly scope: string;
  readonly expiresAt: EpochMs | null;
  /** When to renew it without being asked to. */
  readonly renewAt: EpochMs | null;
  /** Exist has answered 401 to the access token. */
  readonly isAccessRefused: boolean;
  /** Exist has refused to renew by the refresh token. */
  readonly isRefreshRefused: boolean;
  /** `under-way`: a refresh has left, or may have; `unknown`: nobody knows whether Exist applied one. */
  readonly renewal: 'none' | 'under-way' | 'unknown';
  /** Refreshes begun since an access token was last accepted. */
  readonly attempts: number;
  /** No refresh before. */
  readonly retryAt: EpochMs | null;
  /** Why the last refresh brought nothing, in words. */
  readonly trouble: string | null;
}

/** How a request for tokens ended. */
export type TokenOutcome =
  | { readonly kind: 'granted'; readonly issued: Issued }
  /** The refresh token (or code) is not good, or not any more. */
  | { readonly kind: 'refused'; readonly message: string }
  /** Surely not applied: it never left, or was turned away for another reason. */
  | { readonly kind: 'not-sent'; readonly message: string; readonly retryAfterMs?: number }
  | { readonly kind: 'unknown'; readonly message: string };

export type AuthorizationEvent =
  /** The daemon is up: a refresh found under way was cut off by the end of the last run. */
  | { readonly type: 'started' }
  /** The user has logged in. */
  | { readonly type: 'logged-in'; readonly login: Login }
  /** Exist answered 401 to a call that carried this access token. */
  | { readonly type: 'refused'; readonly access: string }
  /** Exist answered a call that carried this access token. */
  | { readonly type: 'accepted'; readonly access: string }
  /** How the refresh with this token ended. */
  | { readonly type: 'renewed'; readonly refreshedWith: string; readonly outcome: TokenOutcome }
  /** Time has passed, or the client's secret is another. */
  | { readonly type: 'wake' };

export interface AuthorizationNote {
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
}

/** The caller writes `login` where it `isChanged`, and only then does the rest. */
export interface AuthorizationDecision {
  readonly login: Login | null;
  readonly isChanged: boolean;
  /** Refresh with this token now, and tell of the outcome by exactly one `renewed`. */
  readonly refreshWith: string | undefined;
  /** Calls that were turned away may go through now. */
  readonly isUsableAgain: boolean;
  readonly notes: readonly AuthorizationNote[];
  readonly wakeAt: EpochMs | undefined;
}

export interface AuthorizationCircumstances {
  readonly now: EpochMs;
  /** In [0, 1). */
  readonly random: number;
  /** The daemon goes down, does not know the time, or waits for the end of another refresh: none is begun. */
  readonly beginsNothing?: boolean;
}

export const LOG_IN_AGAIN = 'log in again with `mqtt2exist login`';

const PAUSE = { firstMs: 5 * SECOND_MS, mostMs: HOUR_MS };

/** Before the end of a pair that lives for a year: room for a day without a network. Of a short life, a tenth. */
const MOST_AHEAD_MS = DAY_MS;

/** A fresh pair: nothing is known against it. */
export function newLogin(id: string, issued: Issued & { readonly refresh: string }, now: EpochMs): Login {
  return {
    id,
    ...pairOf(issued, issued.refresh, now),
    isAccessRefused: false,
    isRefreshRefused: false,
    renewal: 'none',
    attempts: 0,
    retryAt: null,
    trouble: null,
  };
}

function pairOf({ access, refresh, scope, expiresInMs }: Issued, before: string, now: EpochMs) {
  const [expiresAt, renewAt] =
    expiresInMs === undefined
      ? [null, null]
      : [now + expiresInMs, now + expiresInMs - Math.min(MOST_AHEAD_MS, Math.round(expiresInMs / 10))];
  return {
    access,
    refresh: refresh ?? before,
    scope,
    expiresAt: expiresAt as EpochMs | null,
    renewAt: renewAt as EpochMs | null,
  };
}

export function isDead({ isAccessRefused, isRefreshRefused }: Login): boolean {
  return isAccessRefused && isRefreshRefused;
}

export function authorize(
  before: Login | null,
  event: AuthorizationEvent,
  circumstances: AuthorizationCircumstances,
): AuthorizationDecision {
  const taken = take(before, event, circumstances.now);
  const { login, refreshWith, wakeAt } = plan(taken.login, circumstances);
  return {
    login,
    isChanged: login !== before,
    refreshWith,
    // What is being renewed is not tried before that has ended.
    isUsableAgain: taken.isUsableAgain === true && refreshWith === undefined,
    notes: taken.notes ?? [],
    wakeAt,
  };
}

interface Taken {
  readonly login: Login | null;
  readonly isUsableAgain?: boolean;
  readonly notes?: readonly AuthorizationNote[];
}

function take(login: Login | null, event: AuthorizationEvent, now: EpochMs): Taken {
  if (event.type === 'logged-in') {
    const notes = [{ level: 'info', text: `logged in to Exist${until(event.login)}` }] as const;
    return { login: event.login, isUsableAgain: true, notes };
  }
  if (login === null) return { login };
  switch (event.type) {
    case 'started':
      return start(login);
    case 'refused':
      return takeRefusal(login, event.access);
    case 'accepted':
      return { login: event.access === login.access ? accept(login) : login };
    case 'renewed':
      // The user may have logged in anew meanwhile.
      return login.renewal === 'under-way' && login.refresh === event.refreshedWith
        ? takeOutcome(login, event.outcome, now)
        : { login };
    case 'wake':
      return { login };
  }
}

function start(login: Login): Taken {
  if (login.renewal === 'under-way') {
    const text = 'the daemon ended while the login was being renewed: the old token is tried first';
    return {
      login: { ...login, renewal: 'unknown', isAccessRefused: false },
      isUsableAgain: true,
      notes: [{ level: 'warn', text }],
    };
  }
  if (isDead(login)) return { login, notes: [{ level: 'error', text: deadText(login) }] };
  // Whatever held the delivery when the last run ended: it tries again, at the price of one call.
  return { login, isUsableAgain: !login.isAccessRefused };
}

function takeRefusal(login: Login, access: string): Taken {
  // It was replaced while the call was on its way.
  if (access !== login.access) return { login, isUsableAgain: !login.isAccessRefused };
  if (login.isAccessRefused) return { login };
  const refused = { ...login, isAccessRefused: true };
  return { login: refused, notes: isDead(refused) ? [{ level: 'error', text: deadText(refused) }] : [] };
}

/** The very same where nothing is news: every call tells it. */
function accept(login: Login): Login {
  const { attempts, retryAt, isAccessRefused, renewal, trouble } = login;
  const isNews = attempts > 0 || retryAt !== null || isAccessRefused || renewal === 'unknown';
  if (!isNews || renewal === 'under-way') return login;
  return {
    ...login,
    attempts: 0,
    retryAt: null,
    isAccessRefused: false,
    renewal: 'none',
    trouble: login.isRefreshRefused ? trouble : null,
  };
}

function takeOutcome(login: Login, outcome: TokenOutcome, now: EpochMs): Taken {
  switch (outcome.kind) {
    case 'granted': {
      const renewed: Login = {
        ...login,
        ...pairOf(outcome.issued, login.refresh, now),
        isAccessRefused: false,
        isRefreshRefused: false,
        renewal: 'none',
        trouble: null,
      };
      const text = `the login at Exist was renewed${until(renewed)}`;
      return { login: renewed, isUsableAgain: true, notes: [{ level: 'info', text }] };
    }
    case 'refused': {
      const refused: Login = {
        ...login,
        renewal: 'none',
        isRefreshRefused: true,
        trouble: outcome.message,
      };
      const text = isDead(refused) ? deadText(refused) : endingText(refused);
      return { login: refused, notes: [{ level: 'error', text }] };
    }
    case 'not-sent': {
      const { message, retryAfterMs } = outcome;
      const retryAt = Math.max(login.retryAt ?? 0, now + Math.min(retryAfterMs ?? 0, DAY_MS)) as EpochMs;
      const text = `the login at Exist could not be renewed (${message}): tried again later`;
      return {
        login: { ...login, renewal: 'none', retryAt, trouble: message },
        notes: [{ level: 'warn', text }],
      };
    }
    case 'unknown': {
      const { message } = outcome;
      const text = `nobody can tell whether the login at Exist was renewed (${message}): the old token is tried first`;
      return {
        login: { ...login, renewal: 'unknown', isAccessRefused: false, trouble: message },
        isUsableAgain: true,
        notes: [{ level: 'warn', text }],
      };
    }
  }
}

/** Begins a refresh where one is due; else tells when to look again. */
function plan(
  login: Login | null,
  { now, random, beginsNothing = false }: AuthorizationCircumstances,
): { login: Login | null; refreshWith?: string; wakeAt?: EpochMs } {
  if (!login || login.renewal === 'under-way' || login.isRefreshRefused) return { login };
  // In doubt the access token is tried before anything else: only its refusal leads on.
  const dueAt = login.isAccessRefused ? now : login.renewal === 'unknown' ? null : login.renewAt;
  if (dueAt === null) return { login };
  // A clock that was set back must not make an hour of years.
  const retryAt = Math.min(login.retryAt ?? 0, now + DAY_MS);
  const at = Math.max(dueAt, retryAt) as EpochMs;
  if (at > now) return { login, wakeAt: at };
  if (beginsNothing) return { login };
  const attempts = login.attempts + 1;
  const pauseMs = Math.min(PAUSE.mostMs, PAUSE.firstMs * 2 ** Math.min(attempts - 1, 30));
  const begun: Login = {
    ...login,
    renewal: 'under-way',
    attempts,
    retryAt: (now + Math.round(pauseMs * (0.5 + random / 2))) as EpochMs,
  };
  return { login: begun, refreshWith: login.refresh };
}

function until({ expiresAt }: Login): string {
  return expiresAt === null ? '' : `, until ${new Date(expiresAt).toISOString().slice(0, 10)}`;
}

function deadText({ trouble }: Login): string {
  const words = trouble === null ? '' : ` (${trouble})`;
  return `Exist has ended the login${words}: counts are kept; ${LOG_IN_AGAIN}`;
}

function endingText(login: Login): string {
  const words = login.trouble === null ? '' : ` (${login.trouble})`;
  return `Exist does not renew the login${words}: it works${until(login).replace(',', '')} at most; ${LOG_IN_AGAIN}`;
}

/** What a person must know of it, in a sentence; nothing while it does its work. */
export function troubleOf(login: Login | null): string | undefined {
  if (login === null) return 'nobody has logged in to Exist yet: counts are kept; run `mqtt2exist login`';
  if (isDead(login)) return deadText(login);
  if (login.isRefreshRefused) return endingText(login);
  if (login.trouble !== null) return `the login at Exist could not be renewed yet (${login.trouble})`;
  return undefined;
}

/** The access token for the next call, or why there is none. */
export function tokenOf(login: Login | null): { readonly token: string } | { readonly problem: string } {
  if (login === null) return { problem: 'nobody has logged in to Exist yet; run `mqtt2exist login`' };
  if (isDead(login)) return { problem: `Exist has ended the login; ${LOG_IN_AGAIN}` };
  if (login.isAccessRefused) return { problem: 'the login at Exist has run out and is being renewed' };
  return { token: login.access };
}
