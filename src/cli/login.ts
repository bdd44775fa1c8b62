/**
 * The login at Exist by OAuth2: an address to open, the browser's way back, a pair of tokens for the daemon.
 *
 * The pair goes into a file beside the database, from where the daemon takes it up, now or when it starts: two
 * processes never write to one database.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import type { Config } from '../config/load.ts';
import type { Issued, TokenOutcome } from '../core/authorization.ts';
import { missingScopes, scopesOf } from '../core/scopes.ts';
import { MINUTE_MS, SECOND_MS, type EpochMs } from '../core/time.ts';
import { ExistClient } from '../exist/exist-client.ts';
import { OAuthClient } from '../exist/oauth-client.ts';
import { LoginFile } from '../ledger/login-file.ts';
import { wantedAttributes } from '../settings.ts';
import { VERSION } from '../version.ts';
import { load, printProblems } from './configuration.ts';
import { DaemonDown, statusOf } from './daemon.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { readPasted, readQuery, type LoginAnswer } from './login-answer.ts';
import { LoginListener, type Respond } from './login-listener.ts';
import { ownerFor } from './owner.ts';

export interface LoginOptions {
  readonly config: string;
  /** Port of the local listener; 0 for none. */
  readonly listen: number;
  /** Where the app at Exist sends the browser, if not to the local listener. */
  readonly redirect?: string;
}

const DEFAULT_PORT = 8_000;
const PATIENCE_MS = 15 * MINUTE_MS;
/** The daemon looks every second. One that does not answer may still be there: without its web listener. */
const TAKE_UP_MS = { up: 10 * SECOND_MS, silent: 1.5 * SECOND_MS };
const USER_AGENT = `mqtt2exist/${VERSION}`;

class LoginFailure extends Error {
  override readonly name = 'LoginFailure';

  constructor(
    readonly code: ExitCode,
    message: string,
  ) {
    super(message);
  }
}

export async function login(options: LoginOptions): Promise<ExitCode> {
  const loaded = load(options.config);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    await logIn(loaded.config, options);
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof LoginFailure)) throw error;
    process.stderr.write(`mqtt2exist login: ${error.message}\n`);
    return error.code;
  }
}

async function logIn(config: Config, options: LoginOptions): Promise<void> {
  const { client, timeoutMs } = config.exist;
  if (!client) {
    const hint = 'write exist: { client_id: …, client_secret_file: … } instead of a token';
    throw new LoginFailure(EXIT.configuration, `${options.config} has no client to log in as; ${hint}`);
  }
  const url = await existUrlOf(config);
  const place = new LoginFile(config.dataDir);
  const owner = ownerFor([config.dataDir, options.config]);
  // Not after the user has gone all the way.
  inFolder(config, () => place.prepare(owner));
  const { id: clientId, secret: clientSecret } = client;
  const oauth = new OAuthClient({ url, clientId, clientSecret, timeoutMs, userAgent: USER_AGENT });
  const scopes = scopesOf(wantedAttributes(config));
  const redirectUri = options.redirect ?? `http://localhost:${options.listen || DEFAULT_PORT}/`;
  const state = randomBytes(24).toString('base64url');
  const asking = await ask(options, state);
  try {
    process.stdout.write(
      invitation(oauth.authorizeUrl({ redirectUri, scopes, state }), asking.listener !== undefined),
    );
    const { code, respond } = await asking.answered;
    const issued = issuedOf(await oauth.exchangeCode(code, redirectUri), respond);
    inFolder(config, () => {
      const issuedAt = Date.now() as EpochMs;
      place.write({ id: randomUUID(), url: config.exist.url, clientId, issued, issuedAt }, owner);
    });
    respond?.(200, 'Logged in: you can close this window and go back to the terminal.');
    await tellResult(config, { url, issued, scopes, place });
  } finally {
    asking.end();
  }
}

/** The local Exist inside the daemon has a port of its own, which only the daemon knows. */
async function existUrlOf(config: Config): Promise<string> {
  if (config.exist.url !== 'sandbox') return config.exist.url;
  try {
    return (await statusOf(config)).exist.url;
  } catch (error) {
    if (!(error instanceof DaemonDown)) throw error;
    const hint = 'start it first with `mqtt2exist run`: the sandbox is inside';
    throw new LoginFailure(EXIT.unavailable, `${error.message}; ${hint}`);
  }
}

function inFolder({ dataDir }: Config, work: () => void): void {
  try {
    work();
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const hint = 'run this as the user that the daemon runs as, or name another data_dir';
    throw new LoginFailure(EXIT.database, `the login cannot be stored in ${dataDir} (${why}); ${hint}`);
  }
}

interface Code {
  readonly code: string;
  /** Where a browser waits for an answer. */
  readonly respond: Respond | undefined;
}

interface Asking {
  /** Resolves with the code once the browser, or whoever pastes, brings it. */
  readonly answered: Promise<Code>;
  readonly listener: LoginListener | undefined;
  end(): void;
}

async function ask({ listen, redirect }: LoginOptions, state: string): Promise<Asking> {
  let settle: ((code: Code) => void) | undefined;
  let fail: ((failure: LoginFailure) => void) | undefined;
  const answered = new Promise<Code>((resolve, reject) => {
    settle = resolve;
    fail = reject;
  });
  answered.catch(() => undefined);
  const listener =
    listen === 0 || redirect !== undefined
      ? undefined
      : await LoginListener.open(listen, (query, respond) => {
          const answer = readQuery(query, state);
          if (answer.kind === 'code') settle?.({ code: answer.code, respond });
          else if (answer.kind === 'denied') {
            respond(400, denied(answer.message).message);
            fail?.(denied(answer.message));
          } else {
            // Whoever else comes by does not end the login that was begun.
            respond(400, `${WORDS[answer.kind]}: open the address that the terminal shows.`);
            if (answer.kind === 'foreign') process.stderr.write(`somebody came by: ${WORDS.foreign}\n`);
          }
        });
  const isListening = listener instanceof LoginListener;
  // A port that is taken is no obstacle: the address can be pasted.
  if (typeof listener === 'string') {
    process.stderr.write(`port ${listen} cannot be listened on (${listener}): paste the address instead\n`);
  }
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    if (line.trim() === '') return;
    const answer = readPasted(line, state);
    if (answer.kind === 'code') settle?.({ code: answer.code, respond: undefined });
    else fail?.(failureOf(answer));
  });
  lines.on('close', () => {
    if (!isListening) fail?.(new LoginFailure(EXIT.usage, 'nothing was pasted; run it again'));
  });
  const timer = setTimeout(() => {
    fail?.(new LoginFailure(EXIT.unavailable, 'nobody came back from Exist within a quarter of an hour'));
  }, PATIENCE_MS);
  const end = (): void => {
    clearTimeout(timer);
    lines.close();
    process.stdin.destroy();
    if (isListening) void listener.close();
  };
  return { answered, listener: isListening ? listener : undefined, end };
}

const WORDS = {
  foreign: 'this answer belongs to another login than the one that was begun (its state differs)',
  nothing: 'there is no code in it',
} as const;

function denied(message: string): LoginFailure {
  return new LoginFailure(EXIT.unavailable, `Exist did not let us in (${message}); nothing was changed`);
}

function failureOf(answer: Exclude<LoginAnswer, { kind: 'code' }>): LoginFailure {
  if (answer.kind === 'denied') return denied(answer.message);
  const hint = 'paste the whole address that the browser was sent to; run it again';
  return new LoginFailure(EXIT.usage, `${WORDS[answer.kind]}; ${hint}`);
}

function invitation(address: string, isListening: boolean): string {
  const back = isListening
    ? 'This command waits until the browser comes back. If the browser is on another machine, paste here\nthe address that it was sent to.'
    : 'The browser is then sent to a page that may not be there: paste its whole address here.';
  return `Open this address in a browser and allow it:\n\n  ${address}\n\n${back}\n`;
}

function issuedOf(
  outcome: TokenOutcome,
  respond: Respond | undefined,
): Issued & { readonly refresh: string } {
  const fail = (message: string): never => {
    respond?.(400, `The login failed: ${message}.`);
    throw new LoginFailure(EXIT.unavailable, `${message}; nothing was changed, run it again`);
  };
  switch (outcome.kind) {
    case 'granted': {
      const { refresh, ...rest } = outcome.issued;
      if (refresh !== undefined) return { ...rest, refresh };
      return fail('Exist gave no refresh token with the access token');
    }
    case 'refused':
      return fail(
        `Exist does not take the code (${outcome.message}): it is good once, for a few minutes, and for the redirect address of the app`,
      );
    case 'not-sent':
      return fail(`Exist gave no tokens (${outcome.message})`);
    case 'unknown':
      return fail(`no tokens came for the code (${outcome.message})`);
  }
}

interface Result {
  readonly url: string;
  readonly issued: Issued;
  readonly scopes: readonly string[];
  readonly place: LoginFile;
}

async function tellResult(config: Config, { url, issued, scopes, place }: Result): Promise<void> {
  const { timeoutMs } = config.exist;
  const exist = new ExistClient({ url, token: () => issued.access, timeoutMs, userAgent: USER_AGENT });
  const [profile, isTaken] = await Promise.all([exist.profile(), isTakenUp(config, place)]);
  if (profile.kind === 'answered') {
    const { username = 'an account without a name', timezone } = profile.body;
    process.stdout.write(`logged in as ${username} (${timezone})\n`);
  } else {
    process.stdout.write('logged in\n');
    process.stderr.write(`but Exist does not tell whose account it is: ${profile.message}\n`);
  }
  const missing = missingScopes(scopes, issued.scope);
  if (missing.length > 0) process.stderr.write(`Exist did not grant ${missing.join(', ')}\n`);
  process.stdout.write(
    isTaken
      ? 'the running daemon has taken it up; see `mqtt2exist status`\n'
      : 'no daemon has taken it up yet: `mqtt2exist run` does so when it starts\n',
  );
}

async function isTakenUp(config: Config, place: LoginFile): Promise<boolean> {
  const isUp = await statusOf(config).then(
    () => true,
    () => false,
  );
  const until = Date.now() + TAKE_UP_MS[isUp ? 'up' : 'silent'];
  while (place.isThere && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return !place.isThere;
}
