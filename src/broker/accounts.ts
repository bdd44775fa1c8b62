/**
 * What the broker asks whoever keeps the accounts, and what it tells them.
 */
import type { Permissions } from '../core/rights.ts';

export interface LoginAttempt {
  readonly name: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly clientId: string;
  readonly address: string;
  /** The connection was closed: nobody waits for the answer. */
  readonly isGone: () => boolean;
}

/** Who a connection belongs to, and what it may do. */
export interface Guest {
  /** `undefined`: anonymous. */
  readonly account: string | undefined;
  readonly permissions: Permissions;
}

/** `credentials`: no such name and password; `client_id`: not this account's; `busy`: try again later. */
export type LoginRefusal = 'credentials' | 'client_id' | 'busy';

/** Nothing here may throw but `admit`, whose rejection lets nobody in. */
export interface Accounts {
  admit(attempt: LoginAttempt): Promise<Guest | { readonly refusal: LoginRefusal }>;
  /** Whether there is such an account; `undefined`: whether clients without one are let in. */
  knows(account: string | undefined): boolean;
  /** A client of the account is welcome. */
  connected(account: string, address: string): void;
  disconnected(account: string): void;
  published(account: string): void;
  /** The account has no right to that. */
  denied(account: string, what: 'publish' | 'subscribe' | 'will', topic: string): void;
}

/** Without accounts everybody may do everything. */
export const ANYBODY: Guest = {
  account: undefined,
  permissions: { mayPublish: () => true, maySubscribe: () => true },
};

/** Its account was taken away while it was connected. */
export const NOBODY: Guest = {
  account: undefined,
  permissions: { mayPublish: () => false, maySubscribe: () => false },
};
