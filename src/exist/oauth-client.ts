/**
 * OAuth2 at Exist: the address where the user allows, and the calls that bring tokens. Every method is exactly one
 * exchange. What an answer means errs on one side only: what is not plainly a pair of tokens, and not plainly turned
 * away, is unknown.
 */
import * as z from 'zod';
import type { Issued, TokenOutcome } from '../core/authorization.ts';
import { SECOND_MS, type EpochMs } from '../core/time.ts';
import { exactWords, oneLine, readRetryAfter, withoutToken } from './classify.ts';
import { exchange, type Exchange } from './exchange.ts';

export interface OAuthClientOptions {
  /** Where Exist is: `https://exist.io`; `oauth2/` is appended. */
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly timeoutMs: number;
  readonly userAgent: string;
  /** For a `Retry-After` date of a server that tells no time. */
  readonly now?: () => number;
}

/** Longer is no pair of tokens. */
const MOST_BODY_BYTES = 65_536;

const token = z.string().regex(/^[\x21-\x7e]{1,4096}$/);

const pair = z.object({
  access_token: token,
  refresh_token: token.nullish(),
  scope: z.string().catch(''),
  // Ten years is more than anybody means; what cannot be read is as good as not told.
  expires_in: z.coerce.number().min(0).max(315_360_000).nullish().catch(undefined),
});

/** RFC 6749, 5.2. */
const refusal = z.object({ error: z.string() });

/** Of them all, only this one speaks of the code or the refresh token; the others are about us. */
const DEAD = 'invalid_grant';

export class OAuthClient {
  private readonly base: URL;

  constructor(private readonly options: OAuthClientOptions) {
    this.base = new URL(options.url);
    if (!this.base.pathname.endsWith('/')) this.base.pathname += '/';
    this.base.pathname += 'oauth2/';
    this.base.search = '';
    this.base.hash = '';
  }

  /** Where the user allows it. `state` comes back with the answer (RFC 6749, 10.12). */
  authorizeUrl(query: {
    readonly redirectUri: string;
    readonly scopes: readonly string[];
    readonly state: string;
  }): string {
    const url = new URL('authorize', this.base);
    url.searchParams.set('response_type', 'code');
    url.searchParams.set('client_id', this.options.clientId);
    url.searchParams.set('redirect_uri', query.redirectUri);
    url.searchParams.set('scope', query.scopes.join(' '));
    url.searchParams.set('state', query.state);
    return url.href;
  }

  /** A code is good for one pair, for ten minutes or so. */
  exchangeCode(code: string, redirectUri: string): Promise<TokenOutcome> {
    return this.ask({ grant_type: 'authorization_code', code, redirect_uri: redirectUri }, [code]);
  }

  /**
   * Both old tokens die at once, whether the answer arrives or not.
   * @param accessToken the other one of the pair, which Exist's words must not show either
   */
  refresh(refreshToken: string, accessToken: string): Promise<TokenOutcome> {
    const secrets = [refreshToken, accessToken];
    return this.ask({ grant_type: 'refresh_token', refresh_token: refreshToken }, secrets);
  }

  private async ask(
    form: Readonly<Record<string, string>>,
    secrets: readonly string[],
  ): Promise<TokenOutcome> {
    const { clientId, clientSecret, timeoutMs, userAgent } = this.options;
    const body = new URLSearchParams({ ...form, client_id: clientId, client_secret: clientSecret });
    const exchanged = await exchange({
      url: new URL('access_token', this.base),
      method: 'POST',
      headers: {
        'user-agent': userAgent,
        accept: 'application/json',
        'accept-encoding': 'identity',
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: body.toString(),
      timeoutMs,
      maxBodyBytes: MOST_BODY_BYTES,
    });
    const outcome = judge(exchanged, (this.options.now ?? Date.now)() as EpochMs);
    if (outcome.kind === 'granted') return outcome;
    // What a server repeats of the request must not get into a log.
    const hidden = [...secrets, clientSecret].reduce(withoutToken, outcome.message);
    return { ...outcome, message: oneLine(hidden, clientSecret) };
  }
}

function judge(exchanged: Exchange, now: EpochMs): TokenOutcome {
  if (exchanged.kind === 'unconnected') return { kind: 'not-sent', message: exchanged.message };
  if (exchanged.kind === 'no-response') return { kind: 'unknown', message: exchanged.message };
  const { status, text, flaw } = exchanged;
  const message = `${status}: ${exactWords(exchanged)}`;
  if (status === 200 && flaw === undefined) {
    const issued = readPair(text);
    // Its words may be half of a pair: they are not repeated.
    return issued
      ? { kind: 'granted', issued }
      : { kind: 'unknown', message: `${status}: the answer is no pair of tokens` };
  }
  if (status === 200) return { kind: 'unknown', message: `${status}: ${flaw ?? ''}` };
  if (status === 429) {
    const retryAfterMs = readRetryAfter(exchanged.headers, now);
    return { kind: 'not-sent', message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  const error = status >= 400 && status < 500 ? readRefusal(text) : undefined;
  if (error === undefined) return { kind: 'unknown', message };
  if (error === DEAD) return { kind: 'refused', message };
  const words = error === 'invalid_client' ? 'client_id or client_secret is not right' : message;
  return { kind: 'not-sent', message: words };
}

function readPair(text: string): Issued | undefined {
  const parsed = pair.safeParse(parse(text));
  if (!parsed.success) return undefined;
  const { access_token: access, refresh_token: refresh, scope, expires_in: expiresInS } = parsed.data;
  return {
    access,
    scope,
    ...(refresh !== null && refresh !== undefined && { refresh }),
    ...(expiresInS !== null && expiresInS !== undefined && { expiresInMs: expiresInS * SECOND_MS }),
  };
}

function readRefusal(text: string): string | undefined {
  const parsed = refusal.safeParse(parse(text));
  return parsed.success ? parsed.data.error : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
