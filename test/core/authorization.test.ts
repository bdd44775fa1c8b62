/**
 * The login's reducer against an Exist that renews as Exist does: both old tokens die at once. The daemon around it
 * is cut off at every boundary of its effects.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  authorize,
  isDead,
  newLogin,
  tokenOf,
  type AuthorizationDecision,
  type AuthorizationEvent,
  type Issued,
  type Login,
  type TokenOutcome,
} from '../../src/core/authorization.ts';
import { DAY_MS, HOUR_MS, type EpochMs } from '../../src/core/time.ts';

const NOW = Date.parse('2026-11-24T12:00:00Z') as EpochMs;
const YEAR_MS = 365 * DAY_MS;

const issued = (n: number, expiresInMs?: number): Issued & { readonly refresh: string } => ({
  access: `access-${n}`,
  refresh: `refresh-${n}`,
  scope: 'food_read food_write',
  ...(expiresInMs !== undefined && { expiresInMs }),
});

/** What the last run left, and what this one does with one event after the other. */
class Desk {
  login: Login | null;
  last: AuthorizationDecision | undefined;
  now: EpochMs = NOW;

  constructor(login: Login | null = newLogin('first', issued(1, YEAR_MS), NOW)) {
    this.login = login;
  }

  take(event: AuthorizationEvent, beginsNothing = false): AuthorizationDecision {
    this.last = authorize(this.login, event, { now: this.now, random: 0.5, beginsNothing });
    this.login = this.last.login;
    return this.last;
  }

  refused(n = 1): AuthorizationDecision {
    return this.take({ type: 'refused', access: `access-${n}` });
  }

  renewed(outcome: TokenOutcome, n = 1): AuthorizationDecision {
    return this.take({ type: 'renewed', refreshedWith: `refresh-${n}`, outcome });
  }

  accepted(n = 1): AuthorizationDecision {
    return this.take({ type: 'accepted', access: `access-${n}` });
  }

  get words(): string {
    return this.last?.notes.map(({ text }) => text).join('\n') ?? '';
  }
}

const LOST: TokenOutcome = { kind: 'unknown', message: 'no answer' };
const DENIED: TokenOutcome = { kind: 'refused', message: 'invalid_grant' };
const UNSENT: TokenOutcome = { kind: 'not-sent', message: 'no network' };

describe('a login', () => {
  test('that works is not written again with every call', () => {
    expect(new Desk().accepted()).toMatchObject({ isChanged: false, refreshWith: undefined });
  });

  test('that is refused is renewed: written ahead, then asked for, then used', () => {
    const desk = new Desk();
    expect(desk.refused()).toMatchObject({
      isChanged: true,
      login: { renewal: 'under-way' },
      refreshWith: 'refresh-1',
      isUsableAgain: false,
    });
    expect(desk.renewed({ kind: 'granted', issued: issued(2) })).toMatchObject({
      isChanged: true,
      isUsableAgain: true,
    });
    expect(tokenOf(desk.login)).toEqual({ token: 'access-2' });
  });

  test('is renewed a day before the end of a year, and a tenth before that of an hour', () => {
    for (const [livesMs, aheadMs] of [
      [YEAR_MS, DAY_MS],
      [HOUR_MS, HOUR_MS / 10],
    ] as const) {
      const desk = new Desk(newLogin('x', issued(1, livesMs), NOW));
      expect(desk.take({ type: 'started' })).toMatchObject({
        wakeAt: NOW + livesMs - aheadMs,
        refreshWith: undefined,
      });
      desk.now = (NOW + livesMs - aheadMs) as EpochMs;
      expect(desk.take({ type: 'wake' })).toMatchObject({ refreshWith: 'refresh-1' });
      // Until it is answered the old one is good.
      expect(tokenOf(desk.login)).toEqual({ token: 'access-1' });
    }
  });

  test('whose end nobody tells is renewed when it is refused only', () => {
    const desk = new Desk(newLogin('x', issued(1), NOW));
    expect(desk.take({ type: 'started' })).toMatchObject({ wakeAt: undefined, refreshWith: undefined });
  });

  test('keeps its refresh token where Exist issues no other', () => {
    const desk = new Desk();
    desk.refused();
    desk.renewed({ kind: 'granted', issued: { access: 'access-2', scope: '' } });
    expect(desk.login).toMatchObject({ access: 'access-2', refresh: 'refresh-1' });
  });
});

describe('a refresh', () => {
  test('that nobody knows the outcome of: the old access token is tried first, then the old refresh token', () => {
    const desk = new Desk();
    desk.refused();
    expect(desk.renewed(LOST)).toMatchObject({ isUsableAgain: true, refreshWith: undefined });
    expect(tokenOf(desk.login)).toEqual({ token: 'access-1' });
    const { wakeAt, refreshWith } = desk.refused();
    expect(refreshWith).toBeUndefined();
    desk.now = wakeAt ?? NOW;
    expect(desk.take({ type: 'wake' })).toMatchObject({ refreshWith: 'refresh-1' });
  });

  test('in doubt is over once the old access token is taken', () => {
    const desk = new Desk();
    desk.refused();
    desk.renewed(LOST);
    desk.accepted();
    expect(desk.login).toMatchObject({ renewal: 'none', attempts: 0, trouble: null });
  });

  test('in doubt before the end of the pair waits for a call to tell', () => {
    const desk = new Desk(newLogin('x', issued(1, HOUR_MS), NOW));
    desk.now = (NOW + HOUR_MS) as EpochMs;
    desk.take({ type: 'wake' });
    expect(desk.renewed(LOST)).toMatchObject({ refreshWith: undefined, wakeAt: undefined });
    expect(desk.accepted()).toMatchObject({ refreshWith: 'refresh-1' });
  });

  test('that was cut off by the end of the daemon is in doubt', () => {
    const desk = new Desk();
    desk.refused();
    expect(desk.take({ type: 'started' })).toMatchObject({
      login: { renewal: 'unknown' },
      isUsableAgain: true,
      refreshWith: undefined,
    });
  });

  test('that is refused ends the login, once the access token is refused as well', () => {
    const desk = new Desk(newLogin('x', issued(1, HOUR_MS), NOW));
    desk.now = (NOW + HOUR_MS) as EpochMs;
    desk.take({ type: 'wake' });
    desk.renewed(DENIED);
    expect(desk.words).toContain('does not renew the login (invalid_grant)');
    expect(tokenOf(desk.login)).toEqual({ token: 'access-1' });
    expect(desk.refused()).toMatchObject({ refreshWith: undefined, wakeAt: undefined });
    expect(desk.words).toContain('log in again with `mqtt2exist login`');
    expect(tokenOf(desk.login)).toHaveProperty('problem');
    expect(desk.take({ type: 'logged-in', login: newLogin('second', issued(2), desk.now) })).toMatchObject({
      isUsableAgain: true,
    });
    expect(tokenOf(desk.login)).toEqual({ token: 'access-2' });
  });

  test('that was not sent is made again after a pause that grows, or that Exist names', () => {
    const desk = new Desk();
    desk.refused();
    const pauses: number[] = [];
    for (let n = 0; n < 12; n += 1) {
      const { wakeAt } = desk.renewed(UNSENT);
      pauses.push((wakeAt ?? 0) - desk.now);
      desk.now = wakeAt ?? desk.now;
      expect(desk.take({ type: 'wake' }).refreshWith).toBe('refresh-1');
    }
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(pauses.at(-1)).toBeLessThanOrEqual(HOUR_MS);
    const { wakeAt } = desk.renewed({ ...UNSENT, retryAfterMs: 3 * HOUR_MS });
    expect(wakeAt).toBe(desk.now + 3 * HOUR_MS);
  });

  test('does not go round in circles where Exist refuses every new token', () => {
    const desk = new Desk();
    let refreshes = 0;
    for (let n = 1; desk.now < NOW + DAY_MS; n += 1) {
      let decision = desk.refused(n);
      if (decision.refreshWith === undefined) {
        desk.now = decision.wakeAt ?? desk.now;
        decision = desk.take({ type: 'wake' });
      }
      expect(decision.refreshWith).toBe(`refresh-${n}`);
      refreshes += 1;
      desk.renewed({ kind: 'granted', issued: issued(n + 1) }, n);
    }
    expect(refreshes).toBeLessThan(50);
  });

  test('is begun by nobody who goes down or does not know the time', () => {
    const desk = new Desk();
    expect(desk.take({ type: 'refused', access: 'access-1' }, true)).toMatchObject({
      refreshWith: undefined,
      login: { renewal: 'none', isAccessRefused: true },
    });
    expect(desk.take({ type: 'wake' })).toMatchObject({ refreshWith: 'refresh-1' });
  });

  test('that a new login overtook changes nothing of it', () => {
    const desk = new Desk();
    desk.refused();
    desk.take({ type: 'logged-in', login: newLogin('second', issued(2), NOW) });
    expect(desk.renewed(DENIED)).toMatchObject({ isChanged: false });
    desk.refused(2);
    expect(desk.renewed(DENIED, 1)).toMatchObject({ isChanged: false });
  });
});

test('a 401 to a token that was replaced meanwhile leads to no refresh, only to another try', () => {
  const desk = new Desk();
  desk.refused();
  desk.renewed({ kind: 'granted', issued: issued(2) });
  expect(desk.refused(1)).toMatchObject({ isChanged: false, refreshWith: undefined, isUsableAgain: true });
});

/** Exist: which pair is good. Both tokens of a pair die by a refresh; the access token alone by its age. */
class Exist {
  pair: number | undefined = 1;
  isAccessGood = true;
  private issuedPairs = 1;

  call(access: string): 'accepted' | 'refused' {
    return this.isAccessGood && access === `access-${this.pair ?? 0}` ? 'accepted' : 'refused';
  }

  renew(refresh: string): TokenOutcome {
    if (refresh !== `refresh-${this.pair ?? 0}`) return DENIED;
    return { kind: 'granted', issued: this.issue() };
  }

  issue(): Issued & { readonly refresh: string } {
    this.issuedPairs += 1;
    this.pair = this.issuedPairs;
    this.isAccessGood = true;
    return issued(this.issuedPairs);
  }
}

/** What becomes of a refresh that leaves. With a crash the daemon goes on with what was last written to the disk. */
const FATES = [
  'crash before',
  'lose',
  'apply, lose',
  'fail',
  'crash',
  'apply, crash',
  'apply, crash once stored',
] as const;

/** Each of the fates strikes the refresh that a call may lead to. */
interface Turn {
  readonly what: 'call' | 'expire' | 'wait' | (typeof FATES)[number];
}

const turn: fc.Arbitrary<Turn> = fc.record({
  what: fc.constantFrom(...(['call', 'call', 'expire', 'wait'] as const), ...FATES),
});

/** Daemons that leave a guard out: each must be caught. */
type Mutant = 'no write-ahead' | 'uses a pair before it is stored' | 'takes a lost answer for a refusal';

/** Leads a life, and looks whether a pair was lost that could have been kept. */
function live(turns: readonly Turn[], mutant?: Mutant): void {
  const exist = new Exist();
  let disk: Login | null = newLogin('first', issued(1), NOW);
  let memory = disk;
  let now: number = NOW;
  let inFlight = 0;
  /** A pair was issued, and the answer with it never reached the disk: only then a login may die. */
  let isPairLost = false as boolean;
  let fate: Turn['what'] = 'call';

  const save = (login: Login): void => {
    memory = login;
    const isNewPair = disk?.access !== login.access;
    if (mutant === 'no write-ahead' && login.renewal === 'under-way') return;
    if (mutant === 'uses a pair before it is stored' && isNewPair) return;
    disk = login;
  };
  const restart = (): void => {
    inFlight = 0;
    memory = disk ?? memory;
    run({ type: 'started' });
  };
  const run = (event: AuthorizationEvent): void => {
    const decision = authorize(memory, event, { now: now as EpochMs, random: 0.5 });
    if (decision.isChanged && decision.login) {
      if (fate === 'crash before' && decision.refreshWith !== undefined) {
        fate = 'call';
        restart();
        return;
      }
      save(decision.login);
    }
    if (decision.refreshWith !== undefined) renew(decision.refreshWith);
  };
  const renew = (refreshedWith: string): void => {
    inFlight += 1;
    expect(inFlight).toBe(1);
    // Nothing leaves that is not written down.
    expect(disk?.renewal).toBe('under-way');
    const mine = fate;
    fate = 'call';
    if (mine === 'crash') {
      restart();
      return;
    }
    const before = exist.pair;
    const lost = mutant === 'takes a lost answer for a refusal' ? DENIED : LOST;
    const outcome = mine === 'lose' ? lost : mine === 'fail' ? UNSENT : exist.renew(refreshedWith);
    if (mine === 'apply, crash' || mine === 'apply, lose') isPairLost ||= exist.pair !== before;
    if (mine === 'apply, crash') {
      restart();
      return;
    }
    inFlight -= 1;
    run({ type: 'renewed', refreshedWith, outcome: mine === 'apply, lose' ? lost : outcome });
    if (mine === 'apply, crash once stored') restart();
  };
  const call = (): void => {
    const found = tokenOf(memory);
    if ('problem' in found) return;
    run({ type: exist.call(found.token), access: found.token });
  };

  for (const { what } of turns) {
    fate = what;
    if (what === 'expire') exist.isAccessGood = false;
    else if (what === 'wait') now += HOUR_MS;
    else {
      now += HOUR_MS;
      run({ type: 'wake' });
      call();
    }
  }
  fate = 'call';
  for (let n = 0; n < 4; n += 1) {
    now += HOUR_MS;
    run({ type: 'wake' });
    call();
  }
  if (isPairLost) {
    // Exist's tokens went down with an answer: it is said, and a new login goes on.
    if (!isDead(memory)) expect(exist.call(memory.access)).toBe('accepted');
    run({ type: 'logged-in', login: newLogin('again', exist.issue(), now as EpochMs) });
    call();
  }
  expect(isDead(memory)).toBe(false);
  expect(disk).toEqual(memory);
  expect(exist.call(memory.access)).toBe('accepted');
}

describe('whatever happens, at whichever instant the process ends', () => {
  test('no pair is lost but with its answer, and no two refreshes are under way', () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 30 }), (turns) => {
        live(turns);
      }),
      { numRuns: 3_000 },
    );
  });

  test.each(FATES)('%s, once', (what) => {
    live([{ what: 'expire' }, { what }, { what: 'call' }]);
  });

  test.each<Mutant>([
    'no write-ahead',
    'uses a pair before it is stored',
    'takes a lost answer for a refusal',
  ])('a daemon that %s is caught', (mutant) => {
    expect(() => {
      for (const what of FATES) live([{ what: 'expire' }, { what }, { what: 'call' }], mutant);
    }).toThrow();
  });
});
