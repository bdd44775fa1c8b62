/**
 * A local Exist: the API's write, read, ownership, template, profile and token calls on one account, kept in a file,
 * with a failure switch. `docs/sandbox.md` tells how to use it.
 *
 * Life cycle: stopped ──start()──▶ listening ──stop()──▶ stopped. What is answered is in the file before the answer
 * leaves.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { SECOND_MS, isTimeZone } from '../core/time.ts';
import { AccountFile } from './account-file.ts';
import { Account, type JournalEntry } from './account.ts';
import { answerControl } from './control.ts';
import { ExistApi, type Twist } from './exist-api.ts';
import { FaultSwitch, type Fault, type FaultInput } from './faults.ts';
import { json, readCall, send, type Call, type Reply } from './http.ts';
import { misbehave } from './mishap.ts';
import { answerOAuth } from './oauth.ts';
import { Tokens, type Pair } from './tokens.ts';

export interface SandboxOptions {
  /** 0, the default: any that is free. */
  readonly port?: number;
  readonly host?: string;
  /** Where everything is kept; without, in memory only. */
  readonly file?: string;
  /** The account's IANA zone; default: this machine's. */
  readonly timezone?: string;
  readonly clock?: () => number;
  /** Developer tokens that are good; default: any token. */
  readonly tokens?: readonly string[];
  readonly callsPerHour?: number;
  /** Whether answers to `increment` carry dates. */
  readonly echoDates?: boolean;
  /** One line for every call. */
  readonly log?: (line: string) => void;
}

export interface CallSeen {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** The items of a write, in short. */
  readonly items: string;
  /** The status, or what the caller got instead. */
  readonly outcome: string;
  readonly fault: string | undefined;
}

export interface SandboxState {
  readonly timezone: string;
  readonly today: string;
  readonly attributes: readonly {
    readonly name: string;
    readonly label: string;
    readonly template: string | null;
    readonly group: string;
    readonly value_type: number;
    readonly manual: boolean;
    readonly owner: string | null;
    readonly values: Readonly<Record<string, number | string>>;
  }[];
  /** The last thousand increments applied, the oldest first. */
  readonly journal: readonly JournalEntry[];
  /** The last fifty calls, the oldest first. */
  readonly calls: readonly CallSeen[];
  readonly faults: readonly Fault[];
}

const MOST_CALLS_SEEN = 50;

export class Sandbox {
  private readonly account = new Account();
  private readonly tokens: Tokens;
  private readonly api: ExistApi;
  private readonly file: AccountFile | undefined;
  private readonly faultSwitch = new FaultSwitch();
  private readonly calls: CallSeen[] = [];
  private readonly late = new Map<NodeJS.Timeout, () => void>();
  private readonly timezone: string;
  private readonly clock: () => number;
  private server: Server | undefined;
  private isLoaded = false;

  constructor(private readonly options: SandboxOptions = {}) {
    const { tokens, callsPerHour = 300, echoDates = false, file } = options;
    this.clock = options.clock ?? Date.now;
    this.timezone = options.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!isTimeZone(this.timezone)) throw new RangeError(`unknown time zone ${this.timezone}`);
    this.tokens = new Tokens({ tokens, callsPerHour, clock: this.clock });
    this.api = new ExistApi(this.account, this.tokens, {
      timezone: this.timezone,
      clock: this.clock,
      echoDates,
    });
    this.file = file === undefined ? undefined : new AccountFile(file, this.account, this.tokens);
  }

  /** Rejects with `SandboxFileError` for a damaged file, with Node's `EADDRINUSE` for a port that is taken. */
  async start(): Promise<{ url: string }> {
    if (!this.isLoaded) this.file?.load();
    this.isLoaded = true;
    if (!this.server) {
      const server = createServer((request, response) => void this.handle(request, response));
      server.listen(this.options.port ?? 0, this.options.host ?? '127.0.0.1');
      await once(server, 'listening');
      this.server = server;
    }
    return { url: urlOf(this.server) };
  }

  /** Late calls are applied now; callers that still wait are cut off. */
  async stop(): Promise<void> {
    this.applyLate();
    const { server } = this;
    if (!server) return;
    this.server = undefined;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  state(): SandboxState {
    return {
      timezone: this.timezone,
      today: this.api.today(),
      attributes: [...this.account.attributes.values()].map((attribute) => ({
        name: attribute.name,
        label: attribute.label,
        template: attribute.template,
        group: attribute.group,
        value_type: attribute.valueType,
        manual: attribute.manual,
        owner: attribute.owner,
        values: Object.fromEntries(attribute.values),
      })),
      journal: [...this.account.journal],
      calls: [...this.calls],
      faults: this.faultSwitch.list(),
    };
  }

  /** Sets faults after those that are set already, and lists all. Throws `TypeError` for what is no fault. */
  faults(more: readonly FaultInput[] = []): readonly Fault[] {
    const error = this.addFaults(more);
    if (error !== undefined) throw new TypeError(error);
    return this.faultSwitch.list();
  }

  /** The same for input from outside: says what is wrong, or nothing. */
  addFaults(more: readonly unknown[]): string | undefined {
    return this.faultSwitch.add(more);
  }

  clearFaults(): void {
    this.faultSwitch.clear();
  }

  /** Another writer, whoever owns the attribute. Says what is wrong, or nothing. */
  edit(name: string, date: string, value: number | string): string | undefined {
    const error = this.account.edit(name, date, value);
    this.file?.saveIfChanged();
    return error;
  }

  deleteAttribute(name: string): string | undefined {
    return this.changeOf(name, this.account.delete(name));
  }

  /** The user takes an attribute away from whichever service owns it. */
  release(name: string): string | undefined {
    return this.changeOf(name, this.account.disown(name));
  }

  /** How long access tokens live that are issued from now on. */
  setTokenLifetime(seconds: number): void {
    this.tokens.lifetimeMs = seconds * SECOND_MS;
  }

  /** The pairs of tokens that are good. */
  issued(): readonly Pair[] {
    return this.tokens.issued;
  }

  /** The user takes back what was allowed to OAuth2 clients: their tokens are dead. */
  revoke(): void {
    this.tokens.revoke();
    this.file?.saveIfChanged();
  }

  /** Applies at once what `apply-late` faults still hold back. */
  applyLate(): void {
    for (const [timer, apply] of this.late) {
      clearTimeout(timer);
      apply();
    }
    this.late.clear();
  }

  private changeOf(name: string, isFound: boolean): string | undefined {
    this.file?.saveIfChanged();
    return isFound ? undefined : `there is no attribute "${name}"`;
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const call = await readCall(request);
      if (!call) {
        const tooLarge = json(413, { detail: 'The body is too large.' });
        send(response, { ...tooLarge, headers: { ...tooLarge.headers, connection: 'close' } });
        return;
      }
      const control = answerControl(call, this);
      if (control) send(response, control);
      else this.serve(call, response);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // A caller that went away needs no answer.
      if (response.destroyed || response.headersSent) return;
      this.options.log?.(`internal error: ${reason}`);
      send(response, json(500, { detail: `Internal error: ${reason}` }));
    }
  }

  private serve(call: Call, response: ServerResponse): void {
    const effect = this.faultSwitch.take(call.method, call.url.pathname);
    if (!effect) {
      const reply = this.apply(call);
      this.record(call, String(reply.status), undefined);
      send(response, reply);
      return;
    }
    const outcome = misbehave(effect, {
      call,
      response,
      apply: (applied, twist) => this.apply(applied, twist),
      applyLater: (applied, delayMs) => this.applyLater(applied, delayMs),
      disown: (names) => {
        for (const name of names) this.account.disown(name);
      },
      expireToken: () => this.tokens.expire(call.authorization.replace(/^Bearer +/i, '')),
    });
    this.record(call, outcome, effect.kind);
  }

  private apply(call: Call, twist?: Twist): Reply {
    const reply = answerOAuth(call, this.tokens) ?? this.api.answer(call, twist);
    this.file?.saveIfChanged();
    return reply;
  }

  private applyLater(call: Call, delayMs: number): void {
    const apply = (): void => {
      try {
        this.apply(call);
      } catch (error) {
        this.options.log?.(`a late call could not be applied: ${String(error)}`);
      }
    };
    const timer = setTimeout(() => {
      this.late.delete(timer);
      apply();
    }, delayMs);
    this.late.set(timer, apply);
  }

  private record(call: Call, outcome: string, fault: string | undefined): void {
    const { method } = call;
    const path = call.url.pathname.slice(0, 200);
    const items = method === 'POST' && path.startsWith('/api/') ? inShort(call.body) : '';
    this.calls.push({ at: this.clock(), method, path, items, outcome, fault });
    if (this.calls.length > MOST_CALLS_SEEN) this.calls.shift();
    this.options.log?.(
      [method, path, items, '→', outcome, fault === undefined ? '' : `(fault: ${fault})`]
        .filter((part) => part !== '')
        .join(' '),
    );
  }
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new Error('the sandbox does not listen on a port');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

/** `fridge_opens 2026-08-02 1, water 250` */
function inShort(body: string): string {
  let items: unknown;
  try {
    items = JSON.parse(body);
  } catch {
    return 'not JSON';
  }
  if (!Array.isArray(items)) return '';
  const words = items.slice(0, 5).map((item: unknown) => {
    if (typeof item !== 'object' || item === null) return '?';
    return Object.values(item).map(String).join(' ');
  });
  const text = [...words, ...(items.length > 5 ? [`… ${items.length} in all`] : [])].join(', ');
  // eslint-disable-next-line no-control-regex -- a log line must stay one line
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 200);
}
