/**
 * Exist's API v2 over HTTP. Every method is exactly one exchange, so that the caller can count calls; list methods
 * fetch one page and tell the number of the next. Whatever the network or the server does is a classified outcome;
 * only a programmer's mistake (36 items, say) rejects.
 */
import type * as z from 'zod';
import type { Outcome } from '../core/delivery/outcome.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import {
  attributesAnswer,
  ownershipAnswer,
  profileAnswer,
  releaseAnswer,
  templatesAnswer,
  valuesAnswer,
  withValuesAnswer,
  writeAnswer,
  type AttributeAnswer,
  type AttributeWithValues,
  type DayValue,
  type OwnershipAnswer,
  type ProfileAnswer,
  type ReleaseAnswer,
  type TemplateAnswer,
  type WriteAnswer,
} from './answers.ts';
import { classify, timeOf } from './classify.ts';
import { exchange } from './exchange.ts';

export interface ExistClientOptions {
  /** Where Exist is: `https://exist.io`, with a path or trailing slash as it may be; `api/2/` is appended. */
  readonly url: string;
  /** The access token of the moment. Where it rejects, the call is not sent. */
  readonly token: () => string | Promise<string>;
  /** One call, from looking up the name to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Larger answers are not read to the end. */
  readonly maxBodyBytes?: number;
  readonly userAgent: string;
  /** For a `Retry-After` date of a server that tells no time. */
  readonly now?: () => number;
}

export interface Page<T> {
  readonly results: readonly T[];
  readonly nextPage: number | null;
}

export type AcquireObject = ({ readonly template: string } | { readonly name: string }) & {
  readonly manual: boolean;
};

export interface CreateObject {
  readonly label: string;
  readonly group: string;
  readonly value_type: number;
  readonly manual: boolean;
}

export interface WriteObject {
  readonly name: string;
  readonly date: LocalDate;
  readonly value: number | string;
}

/** Exist's bound on the objects of one call. */
const MOST_OBJECTS = 35;
const MOST_DAYS = 31;
/** Exist's bound on the results of one page. */
const PAGE_LIMIT = 100;
const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024;

type Query = Readonly<Record<string, string | number | undefined>>;

export class ExistClient {
  private readonly base: URL;

  /** Throws `TypeError` where `url` is no http or https URL. */
  constructor(private readonly options: ExistClientOptions) {
    this.base = new URL(options.url);
    if (!/^https?:$/.test(this.base.protocol))
      throw new TypeError(`not an http or https URL: ${options.url}`);
    if (!this.base.pathname.endsWith('/')) this.base.pathname += '/';
    this.base.pathname += 'api/2/';
    this.base.search = '';
    this.base.hash = '';
    this.base.username = '';
    this.base.password = '';
  }

  /**
   * What Exist's clock shows, from the head of whatever it answers. Asked without the token: that spends nothing of
   * the user's budget. `undefined` where nobody answers, or a cache does.
   */
  async time(): Promise<EpochMs | undefined> {
    const exchanged = await exchange({
      url: new URL('accounts/profile/', this.base),
      method: 'GET',
      headers: {
        'user-agent': this.options.userAgent,
        accept: 'application/json',
        'cache-control': 'no-cache',
      },
      timeoutMs: this.options.timeoutMs,
      maxBodyBytes: this.options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
    });
    return exchanged.kind === 'response' ? timeOf(exchanged.headers) : undefined;
  }

  profile(): Promise<Outcome<ProfileAnswer>> {
    return this.get('accounts/profile/', {}, profileAnswer);
  }

  templates(page = 1): Promise<Outcome<Page<TemplateAnswer>>> {
    return this.getPage('attributes/templates/', { limit: PAGE_LIMIT }, page, templatesAnswer);
  }

  /** The user's attributes of the groups that the token may read. */
  attributes(page = 1): Promise<Outcome<Page<AttributeAnswer>>> {
    return this.getPage('attributes/', { limit: PAGE_LIMIT }, page, attributesAnswer);
  }

  /** The attributes that this client may write. */
  owned(page = 1): Promise<Outcome<Page<AttributeAnswer>>> {
    return this.getPage('attributes/owned/', { limit: PAGE_LIMIT }, page, attributesAnswer);
  }

  /** Values of several attributes on the `days` (1 to 31) that end with `dateMax`; `null` on days without data. */
  async withValues(query: {
    readonly attributes: readonly string[];
    readonly days: number;
    readonly dateMax: LocalDate;
    readonly page?: number;
  }): Promise<Outcome<Page<AttributeWithValues>>> {
    checkCount('attributes', query.attributes.length, MOST_OBJECTS);
    checkCount('days', query.days, MOST_DAYS);
    return this.getPage(
      'attributes/with-values/',
      {
        attributes: query.attributes.join(','),
        days: query.days,
        date_max: query.dateMax,
        limit: PAGE_LIMIT,
      },
      query.page ?? 1,
      withValuesAnswer,
    );
  }

  /** The days of one attribute, the latest first. */
  async values(query: {
    readonly attribute: string;
    readonly limit: number;
    readonly dateMax?: LocalDate;
    readonly page?: number;
  }): Promise<Outcome<Page<DayValue>>> {
    checkCount('limit', query.limit, PAGE_LIMIT);
    return this.getPage(
      'attributes/values/',
      { attribute: query.attribute, limit: query.limit, date_max: query.dateMax },
      query.page ?? 1,
      valuesAnswer,
    );
  }

  acquire(objects: readonly AcquireObject[]): Promise<Outcome<OwnershipAnswer>> {
    return this.post('attributes/acquire/?success_objects=1', objects, ownershipAnswer);
  }

  create(objects: readonly CreateObject[]): Promise<Outcome<OwnershipAnswer>> {
    return this.post('attributes/create/?success_objects=1', objects, ownershipAnswer);
  }

  release(objects: readonly { readonly name: string }[]): Promise<Outcome<ReleaseAnswer>> {
    return this.post('attributes/release/', objects, releaseAnswer);
  }

  /** Overwrites days' values. Idempotent. */
  update(objects: readonly WriteObject[]): Promise<Outcome<WriteAnswer>> {
    return this.post('attributes/update/', objects, writeAnswer);
  }

  /** Adds to days' values. Not idempotent: after an unknown outcome, never simply once more. */
  increment(objects: readonly WriteObject[]): Promise<Outcome<WriteAnswer>> {
    return this.post('attributes/increment/', objects, writeAnswer);
  }

  private async getPage<T>(
    path: string,
    query: Query,
    page: number,
    schema: z.ZodType<{ results: T[]; next?: string | null | undefined }>,
  ): Promise<Outcome<Page<T>>> {
    checkCount('page', page, Number.MAX_SAFE_INTEGER);
    const outcome = await this.get(path, { ...query, page: page === 1 ? undefined : page }, schema);
    if (outcome.kind !== 'answered') return outcome;
    // Counted on here rather than read from `next`: a server that errs cannot send the caller round in circles.
    const nextPage = outcome.body.next ? page + 1 : null;
    return { ...outcome, body: { results: outcome.body.results, nextPage } };
  }

  private get<T>(path: string, query: Query, schema: z.ZodType<T>): Promise<Outcome<T>> {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return this.call('GET', url, undefined, schema);
  }

  private async post<T>(path: string, objects: readonly object[], schema: z.ZodType<T>): Promise<Outcome<T>> {
    checkCount('objects', objects.length, MOST_OBJECTS);
    return this.call('POST', new URL(path, this.base), JSON.stringify(objects), schema);
  }

  private async call<T>(
    method: 'GET' | 'POST',
    url: URL,
    body: string | undefined,
    schema: z.ZodType<T>,
  ): Promise<Outcome<T>> {
    let token: string;
    try {
      token = await this.options.token();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { kind: 'not-sent', cause: 'unauthorised', message: `there is no token: ${reason}` };
    }
    // Said here, since the HTTP library's own complaint would quote the header.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      const message = token === '' ? 'the token is empty' : 'the token contains characters no token has';
      return { kind: 'not-sent', cause: 'unauthorised', message };
    }
    const exchanged = await exchange({
      url,
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'user-agent': this.options.userAgent,
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      timeoutMs: this.options.timeoutMs,
      maxBodyBytes: this.options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
    });
    const now = (this.options.now ?? Date.now)() as EpochMs;
    return classify(exchanged, schema, now, token);
  }
}

function checkCount(what: string, count: number, most: number): void {
  if (!Number.isInteger(count) || count < 1 || count > most) {
    throw new RangeError(`${what}: 1 to ${most} expected, not ${count}`);
  }
}
