/** An authenticator with cheap hashes and a clock that stands still until told. */
import { onTestFinished } from 'vitest';
import {
  Authenticator,
  type Account,
  type Admission,
  type Attempt,
} from '../../src/accounts/authenticator.ts';
import type { ListedAccount } from '../../src/accounts/listed-account.ts';
import { hashPassword } from '../../src/accounts/password-hash.ts';

const CHEAP = { ln: 4, r: 8, p: 1 };

export class StillClock {
  private ms = 0;
  private timers: { atMs: number; task: () => void }[] = [];
  /** How long each timer was asked to wait, in order. */
  readonly delays: number[] = [];
  private onTimer: (() => void) | undefined;

  monotonicMs(): number {
    return this.ms;
  }

  now(): number {
    return Date.parse('2026-11-20T10:00:00Z') + this.ms;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.ms + delayMs, task };
    this.timers.push(timer);
    this.delays.push(delayMs);
    this.onTimer?.();
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    this.ms += ms;
    for (const { task } of this.timers.filter(({ atMs }) => atMs <= this.ms)) task();
  }

  /** Resolves once so many answers have been held back since the start. */
  async held(count: number): Promise<void> {
    while (this.delays.length < count) await new Promise<void>((resolve) => (this.onTimer = resolve));
  }
}

export async function account(
  name: string,
  more: Partial<ListedAccount> & { password?: string } = {},
): Promise<ListedAccount> {
  const { password = `${name}'s password`, ...rest } = more;
  return {
    name,
    passwordHash: await hashPassword(password, CHEAP),
    rights: { publish: [`${name}/#`], subscribe: [] },
    clientId: undefined,
    silentAfterMs: undefined,
    ...rest,
  };
}

export function setup(accounts: readonly Account[] = [], mayBeAnonymous = false) {
  const clock = new StillClock();
  const authenticator = new Authenticator(clock);
  authenticator.configure(accounts, mayBeAnonymous);
  onTestFinished(() => authenticator.stop());
  const admit = (
    name: string | undefined,
    password: string | undefined,
    more: Partial<Attempt> = {},
  ): Promise<Admission> =>
    authenticator.admit({
      name,
      password: password === undefined ? undefined : Buffer.from(password),
      clientId: 'a-client',
      address: '192.168.1.5',
      isGone: () => false,
      ...more,
    });
  return { authenticator, clock, admit };
}

/** What came of it, without the functions. */
export function outcome(admission: Admission): string {
  return 'refusal' in admission ? admission.refusal : `in as ${admission.account ?? 'nobody'}`;
}
