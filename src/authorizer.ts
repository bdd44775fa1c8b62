/**
 * Carries out what `core/authorization` decides: writes the decision, makes the one refresh it names, and feeds its
 * outcome back. Knows no rule of its own.
 *
 * States: stopped → running (the inbox is looked into) → stopped.
 */
import {
  authorize,
  newLogin,
  tokenOf,
  troubleOf,
  type AuthorizationDecision,
  type AuthorizationEvent,
  type Issued,
  type Login,
  type TokenOutcome,
} from './core/authorization.ts';
import type { Outcome } from './core/delivery/outcome.ts';
import { missingScopes } from './core/scopes.ts';
import { SECOND_MS, type EpochMs } from './core/time.ts';

/** A full disk is tried again after this. */
const STORE_RETRY_MS = 10 * SECOND_MS;
/** `mqtt2exist login` waits for it. */
const LOOK_MS = SECOND_MS;

/** Whose the tokens are. Those of another client, or of another Exist, are never sent there. */
export interface Issuer {
  readonly url: string;
  readonly clientId: string;
}

/** What `mqtt2exist login` left for the daemon. */
export interface FreshLogin extends Issuer {
  readonly id: string;
  readonly issued: Issued & { readonly refresh: string };
  readonly issuedAt: EpochMs;
}

export interface AuthorizerParts {
  readonly store: {
    load(issuer: Issuer): Login | null;
    /** The id of the login that is stored, whosesoever it is. */
    lastId(): string | undefined;
    /** Durable when it returns. */
    save(issuer: Issuer, login: Login): void;
  };
  readonly inbox: {
    read(): FreshLogin | { readonly problem: string } | undefined;
    /** It is stored. */
    clear(): void;
  };
  /** One exchange; never rejects. */
  readonly refresh: (refreshToken: string, accessToken: string) => Promise<TokenOutcome>;
  readonly clock: {
    now(): EpochMs;
    at(instant: EpochMs, task: () => void): () => void;
    after(delayMs: number, task: () => void): () => void;
  };
  /** In [0, 1). */
  readonly random: () => number;
  readonly isTimeKnown: () => boolean;
  /** What was turned away for want of a token may be tried again. */
  readonly onUsableAgain: () => void;
  /** Before anything else is done with a secret. */
  readonly hide: (secret: string) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** Whether a store that failed will work again by itself: the disk is full. */
  readonly isPassing: (error: unknown) => boolean;
  readonly onFault: (error: unknown) => void;
}

/** `undefined`: there is a developer token, and nobody has to log in. */
export type AuthorizerSettings = { readonly issuer: Issuer; readonly scopes: readonly string[] } | undefined;

export class Authorizer {
  private login: Login | null = null;
  /** The access token of the call that is on its way. */
  private carried: string | undefined;
  private readonly events: AuthorizationEvent[] = [];
  private readonly cancels = new Map<'wake' | 'store' | 'look', () => void>();
  private isRunning = false;
  private isOver = false;
  private isRequesting = false;
  private isTelling = false;
  private underWay: Promise<void> = Promise.resolve();
  private lastProblem: string | undefined;

  constructor(
    private readonly parts: AuthorizerParts,
    private settings: AuthorizerSettings,
  ) {}

  /** Takes up where the last run ended. */
  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.begin();
  }

  /** Begins no refresh any more, and gives one on its way until `patienceMs` to be answered. */
  async stop(patienceMs: number): Promise<void> {
    this.isRunning = false;
    for (const cancel of this.cancels.values()) cancel();
    this.cancels.clear();
    let callOff: (() => void) | undefined;
    const patience = new Promise<void>((resolve) => {
      callOff = this.parts.clock.after(patienceMs, resolve);
    });
    await Promise.race([this.underWay, patience]);
    callOff?.();
    this.isOver = true;
  }

  /** For the next call. @throws Error with what the user has to do */
  token(): string {
    this.carried = undefined;
    const found = tokenOf(this.login);
    if ('problem' in found) throw new Error(found.problem);
    this.carried = found.token;
    return found.token;
  }

  /** The call that carried the last token has come to its end. */
  called(outcome: Outcome<unknown>): void {
    const access = this.carried;
    this.carried = undefined;
    if (!this.settings || access === undefined) return;
    if (outcome.kind === 'answered') this.dispatch({ type: 'accepted', access });
    else if (outcome.kind === 'not-sent' && outcome.cause === 'unauthorised') {
      this.dispatch({ type: 'refused', access });
    }
  }

  /** A hold that a refresh under way may end, or the token that has come meanwhile, is nothing to tell of yet. */
  get isMending(): boolean {
    return this.isTelling || this.login?.renewal === 'under-way';
  }

  /** What a person must know of it, in sentences. */
  troubles(): string[] {
    if (!this.settings) return [];
    const missing = this.login ? missingScopes(this.settings.scopes, this.login.scope) : [];
    const trouble = troubleOf(this.login);
    return [
      ...(trouble === undefined ? [] : [trouble]),
      ...(missing.length === 0
        ? []
        : [`the login at Exist lacks ${missing.join(', ')}: run \`mqtt2exist login\``]),
    ];
  }

  timeKnown(): void {
    if (this.isRunning) this.dispatch({ type: 'wake' });
  }

  reconfigure(settings: AuthorizerSettings): void {
    const isSame = JSON.stringify(settings?.issuer) === JSON.stringify(this.settings?.issuer);
    this.settings = settings;
    if (!this.isRunning) return;
    if (isSame) this.dispatch({ type: 'wake' });
    else this.begin();
  }

  private begin(): void {
    this.cancels.get('look')?.();
    this.login = null;
    if (!this.settings) return;
    const { store } = this.parts;
    this.keep(store.load(this.settings.issuer));
    this.dispatch({ type: 'started' });
    this.look();
    if (!this.hasLogin()) this.parts.log('error', troubleOf(null) ?? '');
  }

  /** Has somebody logged in? */
  private look(): void {
    if (!this.isRunning || !this.settings) return;
    this.cancels.set(
      'look',
      this.parts.clock.after(LOOK_MS, () => {
        this.look();
      }),
    );
    const { inbox, store } = this.parts;
    const found = inbox.read();
    const problem = found && 'problem' in found ? found.problem : this.misfitOf(found);
    if (problem !== undefined && problem !== this.lastProblem) this.parts.log('warn', problem);
    this.lastProblem = problem;
    if (!found || 'problem' in found || problem !== undefined) return;
    // Taken up before: its tokens may have been renewed since. Behind what a full disk does not take, it waits.
    if (found.id !== store.lastId() && this.events.length === 0) {
      this.dispatch({ type: 'logged-in', login: newLogin(found.id, found.issued, found.issuedAt) });
    }
    // While the disk is full it stays where it is.
    if (found.id === store.lastId()) inbox.clear();
  }

  private misfitOf(found: FreshLogin | undefined): string | undefined {
    const { issuer } = this.settings ?? {};
    if (!found || !issuer) return undefined;
    if (found.url === issuer.url && found.clientId === issuer.clientId) return undefined;
    return 'somebody has logged in by another client_id or exist.url than the configuration names: run `mqtt2exist login` once more';
  }

  private dispatch(event: AuthorizationEvent): void {
    if (!this.settings) return;
    this.events.push(event);
    this.decideAll();
  }

  private decideAll(): void {
    for (let event = this.events[0]; event; event = this.events[0]) {
      if (!this.decide(event)) return;
      this.events.shift();
    }
  }

  /** Whether the decision could be written. */
  private decide(event: AuthorizationEvent): boolean {
    const { store, clock, random, log, isPassing, onFault, onUsableAgain } = this.parts;
    if (!this.settings) return true;
    this.cancels.get('wake')?.();
    const beginsNothing = !this.isRunning || !this.parts.isTimeKnown() || this.isRequesting;
    const circumstances = { now: clock.now(), random: random(), beginsNothing };
    const decision: AuthorizationDecision = authorize(this.login, event, circumstances);
    const { login, refreshWith, wakeAt } = decision;
    try {
      if (decision.isChanged && login) store.save(this.settings.issuer, login);
    } catch (error) {
      if (!isPassing(error)) onFault(error);
      // A login stays in the inbox, and comes again; all else must not be forgotten.
      else if (event.type === 'logged-in') return true;
      else this.decideLater();
      return false;
    }
    this.keep(login);
    for (const { level, text } of decision.notes) log(level, text);
    if (refreshWith !== undefined) this.underWay = this.refresh(refreshWith);
    if (wakeAt !== undefined && this.isRunning) {
      this.cancels.set(
        'wake',
        clock.at(wakeAt, () => {
          this.dispatch({ type: 'wake' });
        }),
      );
    }
    if (decision.isUsableAgain) this.tellLater(onUsableAgain);
    return true;
  }

  /** After the outcome of the call that led here has been taken by whoever made it. */
  private tellLater(tell: () => void): void {
    this.isTelling = true;
    this.parts.clock.after(0, () => {
      this.isTelling = false;
      if (this.isRunning) tell();
    });
  }

  private decideLater(): void {
    this.cancels.get('store')?.();
    if (!this.isRunning) return;
    this.cancels.set(
      'store',
      this.parts.clock.after(STORE_RETRY_MS, () => {
        this.decideAll();
      }),
    );
  }

  private async refresh(refreshedWith: string): Promise<void> {
    this.isRequesting = true;
    const outcome = await this.parts.refresh(refreshedWith, this.login?.access ?? refreshedWith);
    this.isRequesting = false;
    // Too late to be stored: the next start finds the refresh under way, and its outcome unknown.
    if (this.isOver) return;
    if (outcome.kind === 'granted') this.hide(outcome.issued.access, outcome.issued.refresh);
    this.dispatch({ type: 'renewed', refreshedWith, outcome });
  }

  private keep(login: Login | null): void {
    this.login = login;
    if (login) this.hide(login.access, login.refresh);
  }

  private hasLogin(): boolean {
    return this.login !== null;
  }

  private hide(...secrets: readonly (string | undefined)[]): void {
    for (const secret of secrets) if (secret !== undefined) this.parts.hide(secret);
  }
}
