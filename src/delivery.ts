/**
 * The way from the ledger to Exist: the flusher, the login, and the clients of Exist's API that both speak through.
 *
 * Where Exist is, is known once `open()` was called: a local one is started with the daemon.
 */
import { Authorizer } from './authorizer.ts';
import type { Config } from './config/load.ts';
import { isWrite } from './core/delivery/request.ts';
import type { Refusal, Settlement } from './core/delivery/settlement.ts';
import { SECOND_MS } from './core/time.ts';
import { DeliveryCalls } from './exist/delivery-calls.ts';
import { ExistClient } from './exist/exist-client.ts';
import { OAuthClient } from './exist/oauth-client.ts';
import { Flusher } from './flusher.ts';
import type { Timekeeper } from './host/timekeeper.ts';
import { DatabaseError } from './ledger/database.ts';
import type { Ledger } from './ledger/ledger.ts';
import { LoginFile } from './ledger/login-file.ts';
import type { Log, Narrator } from './narrator.ts';
import { authorizerSettings, settingsOf } from './settings.ts';

export interface DeliveryParts {
  readonly version: string;
  readonly ledger: Ledger;
  readonly clock: Timekeeper;
  readonly narrator: Narrator;
  /** A call that writes has come to its end, whichever. */
  readonly onWritten: () => void;
  /** Exist may have told its zone. */
  readonly onDecision: () => void;
  readonly log: Log;
  /** Whatever is logged from now on, this is cut out of it. */
  readonly hide: (secret: string) => void;
  readonly onFault: (error: unknown) => void;
}

/** A call on its way gets so long when the daemon stops; the supervisor's patience is longer. */
const STOP_PATIENCE_MS = 2 * SECOND_MS;

function isPassing(error: unknown): boolean {
  return error instanceof DatabaseError && error.problem === 'full';
}

export class Delivery {
  private readonly flusher: Flusher;
  private readonly authorizer: Authorizer;
  private exist: { readonly client: ExistClient; readonly calls: DeliveryCalls } | undefined;
  private existUrl: string;
  /** The same as it was configured at the start: it may be the word `sandbox`. */
  private readonly existGiven: string;

  constructor(
    private config: Config,
    private readonly parts: DeliveryParts,
  ) {
    this.existUrl = config.exist.url;
    this.existGiven = config.exist.url;
    this.flusher = this.makeFlusher();
    this.authorizer = this.makeAuthorizer();
  }

  /** Where Exist is. */
  get url(): string {
    return this.existUrl;
  }

  /** The user's, as Exist has told it. */
  get zone(): string | undefined {
    return this.flusher.state.timezone ?? undefined;
  }

  /** Exist is there: it can be asked for the time. Nothing is sent before `start()`. */
  open(url: string): void {
    this.existUrl = url;
    const client = new ExistClient({
      url,
      token: () => {
        const { client: isLogin, token = 'sandbox' } = this.config.exist;
        return isLogin ? this.authorizer.token() : token;
      },
      timeoutMs: this.config.exist.timeoutMs,
      userAgent: this.userAgent,
    });
    this.exist = { client, calls: new DeliveryCalls(client) };
  }

  /** What Exist says the time is. */
  askTime(): ReturnType<ExistClient['time']> {
    return this.opened().client.time();
  }

  start(): void {
    this.authorizer.start();
    this.flusher.start();
  }

  /** A call without an answer by then is read back at the next start. */
  async stop(): Promise<void> {
    await Promise.all([this.flusher.stop(STOP_PATIENCE_MS), this.authorizer.stop(STOP_PATIENCE_MS)]);
  }

  /** Where Exist is changes with a restart only: its tokens are sent nowhere else. */
  reconfigure(config: Config): void {
    this.config = config;
    this.authorizer.reconfigure(authorizerSettings(config, this.existGiven));
    this.flusher.reconfigure(settingsOf(config));
  }

  /** Contributions are in the ledger. */
  contributed(): void {
    this.flusher.contributed();
  }

  timeKnown(): void {
    this.flusher.timeKnown();
    this.authorizer.timeKnown();
  }

  timeCorrected(byMs: number): void {
    this.flusher.timeCorrected(byMs);
  }

  /** Carries out what the user decided about a held item, or says why not. */
  settle(settlement: Settlement): Refusal | undefined {
    return this.flusher.settle(settlement);
  }

  /** What needs attention, in sentences. */
  troubles(): string[] {
    return this.authorizer.troubles();
  }

  private makeFlusher(): Flusher {
    const { ledger, clock, narrator, log } = this.parts;
    return new Flusher(
      {
        store: ledger.delivery,
        exist: {
          call: async (request) => {
            const outcome = await this.opened().calls.call(request);
            if (outcome.kind === 'answered' && outcome.serverTime) clock.heard(outcome.serverTime);
            this.authorizer.called(outcome);
            return outcome;
          },
        },
        clock,
        random: Math.random,
        isTimeKnown: () => clock.problem === undefined,
        onNote: ({ level, text, attribute, day }) => {
          log(level, [attribute, day, text].filter((part) => part !== undefined).join(' '));
        },
        onFinished: (call) => {
          narrator.call(call);
          if (isWrite(call.request)) this.parts.onWritten();
        },
        onDecision: (account) => {
          this.parts.onDecision();
          if (!this.authorizer.isMending) narrator.exist(account);
        },
        isPassing,
        onFault: this.parts.onFault,
      },
      settingsOf(this.config),
    );
  }

  private makeAuthorizer(): Authorizer {
    const { ledger, clock, log, hide } = this.parts;
    return new Authorizer(
      {
        store: ledger.login,
        inbox: new LoginFile(this.config.dataDir),
        refresh: (refreshToken, accessToken) => this.oauthClient().refresh(refreshToken, accessToken),
        clock,
        random: Math.random,
        isTimeKnown: () => clock.problem === undefined,
        onUsableAgain: () => {
          this.flusher.authorised();
        },
        hide,
        log,
        isPassing,
        onFault: this.parts.onFault,
      },
      authorizerSettings(this.config, this.existGiven),
    );
  }

  private opened(): NonNullable<Delivery['exist']> {
    if (!this.exist) throw new Error('calls to Exist begin after open()');
    return this.exist;
  }

  /** As the configuration has it now. */
  private oauthClient(): OAuthClient {
    const { client, timeoutMs } = this.config.exist;
    if (!client) throw new Error('nothing is renewed without a client');
    const { id: clientId, secret: clientSecret } = client;
    return new OAuthClient({
      url: this.existUrl,
      clientId,
      clientSecret,
      timeoutMs,
      userAgent: this.userAgent,
    });
  }

  private get userAgent(): string {
    return `mqtt2exist/${this.parts.version}`;
  }
}
