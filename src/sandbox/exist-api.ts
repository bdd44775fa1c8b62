/**
 * The calls of Exist's API v2 on a local account. In order, as at Exist: token, hour's limit, path, body, items.
 */
import { addDays, daysBetween, isLocalDate, localDate, type EpochMs, type LocalDate } from '../core/time.ts';
import type { Account, Attribute, Caller, Item, ItemResult } from './account.ts';
import { json, type Call, type Reply } from './http.ts';
import { describeValueType, GROUPS, TEMPLATES } from './templates.ts';
import type { Tokens } from './tokens.ts';

export interface ExistApiOptions {
  readonly timezone: string;
  readonly clock: () => number;
  /** Whether successes of `increment` carry their date; the reference's sample shows none. */
  readonly echoDates: boolean;
}

/** What a fault changes in an answer. */
export interface Twist {
  readonly dates?: 'echo' | 'none';
  /** Values as they stood before their last change. */
  readonly isStale?: boolean;
}

/** Ends a call with an error for all of it. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly body: object,
  ) {
    super();
  }
}

const MOST_OBJECTS = 35;
const MOST_DAYS = 31;
const PAGE_LIMIT = 100;
const PREFIX = '/api/2/';

export class ExistApi {
  constructor(
    private readonly account: Account,
    private readonly tokens: Tokens,
    private readonly options: ExistApiOptions,
  ) {}

  today(): LocalDate {
    return localDate(this.options.clock() as EpochMs, this.options.timezone);
  }

  answer(call: Call, twist: Twist = {}): Reply {
    try {
      return this.route(call, this.admit(call), twist);
    } catch (error) {
      if (error instanceof Refusal) return json(error.status, error.body);
      throw error;
    }
  }

  private admit({ authorization }: Call): Caller {
    const [, token] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
    if (token === undefined) {
      throw new Refusal(401, { detail: 'Authentication credentials were not provided.' });
    }
    const caller = this.tokens.callerOf(token);
    if (!caller) throw new Refusal(401, { detail: 'Invalid token.' });
    if (!this.tokens.spend(token)) throw new Refusal(429, { detail: 'Request was throttled.' });
    return caller;
  }

  private route(call: Call, caller: Caller, twist: Twist): Reply {
    const { pathname } = call.url;
    const path = pathname.startsWith(PREFIX) ? pathname.slice(PREFIX.length) : '';
    const found = this.reads(path, call, caller, twist) ?? this.writes(path, call, caller, twist);
    if (!found) throw new Refusal(404, { detail: 'Not found.' });
    const [method, run] = found;
    if (call.method !== method) throw new Refusal(405, { detail: `Method "${call.method}" not allowed.` });
    return run();
  }

  private reads(path: string, call: Call, caller: Caller, twist: Twist): Route | undefined {
    const readable = (): Attribute[] =>
      [...this.account.attributes.values()].filter((attribute) => this.account.mayRead(caller, attribute));
    switch (path) {
      case 'accounts/profile/':
        return ['GET', () => json(200, this.profile())];
      case 'attributes/templates/':
        return ['GET', () => page(call, [...TEMPLATES.values()], templateObject)];
      case 'attributes/':
        return ['GET', () => page(call, readable(), attributeObject)];
      case 'attributes/owned/': {
        const owned = [...this.account.attributes.values()].filter(({ owner }) => owner === caller.service);
        return ['GET', () => page(call, owned, attributeObject)];
      }
      case 'attributes/with-values/':
        return ['GET', () => this.withValues(call, readable(), twist)];
      case 'attributes/values/':
        return ['GET', () => this.values(call, readable(), twist)];
      default:
        return undefined;
    }
  }

  private writes(path: string, call: Call, caller: Caller, twist: Twist): Route | undefined {
    const { account } = this;
    switch (path) {
      case 'attributes/acquire/':
        return ['POST', () => ownership(call, (item, index) => account.acquire(caller, item, index))];
      case 'attributes/create/':
        return ['POST', () => ownership(call, (item, index) => account.create(caller, item, index))];
      case 'attributes/release/':
        return ['POST', () => itemwise(call, (item, index) => account.release(caller, item, index), plain)];
      case 'attributes/update/': {
        const show = twist.dates === 'none' ? withoutDate : plain;
        return ['POST', () => itemwise(call, (item, index) => account.update(caller, item, index), show)];
      }
      case 'attributes/increment/': {
        const isEchoed = twist.dates === undefined ? this.options.echoDates : twist.dates === 'echo';
        const at = this.options.clock();
        const today = this.today();
        const apply = (item: Item, index: number): ItemResult =>
          account.increment(caller, item, index, today, at);
        return ['POST', () => itemwise(call, apply, isEchoed ? plain : withoutDate)];
      }
      default:
        return undefined;
    }
  }

  private profile(): object {
    const { timezone, clock } = this.options;
    return {
      username: 'sandbox',
      first_name: 'Sandbox',
      last_name: '',
      bio: '',
      url: '',
      avatar: '',
      timezone,
      local_time: isoWithOffset(clock(), timezone),
      imperial_units: false,
    };
  }

  private withValues(call: Call, readable: readonly Attribute[], twist: Twist): Reply {
    const query = call.url.searchParams;
    const days = readCount(query, 'days', 1, MOST_DAYS);
    const dateMax = readDateMax(query, this.today());
    const names = query.get('attributes')?.split(',');
    const shown = names ? readable.filter(({ name }) => names.includes(name)) : readable;
    return page(call, shown, (attribute) => ({
      ...attributeObject(attribute),
      values: daysBack(dateMax, days).map((date) => dayValue(attribute, date, twist)),
    }));
  }

  private values(call: Call, readable: readonly Attribute[], twist: Twist): Reply {
    const query = call.url.searchParams;
    const attribute = readable.find(({ name }) => name === query.get('attribute'));
    if (!attribute) throw new Refusal(404, { detail: 'Not found.' });
    const dateMax = readDateMax(query, this.today());
    const [first] = [...attribute.values.keys()].filter((date) => date <= dateMax).sort();
    const days = first === undefined ? 0 : Math.min(daysBetween(first, dateMax) + 1, 36_600);
    return page(call, daysBack(dateMax, days), (date) => dayValue(attribute, date, twist));
  }
}

type Route = readonly [method: string, run: () => Reply];

function itemwise(
  call: Call,
  apply: (item: Item, index: number) => ItemResult,
  show: (result: Extract<ItemResult, { success: Item }>) => object,
): Reply {
  const success: object[] = [];
  const failed: object[] = [];
  readItems(call).forEach((item, index) => {
    const result = apply(item, index);
    if ('success' in result) success.push(show(result));
    else failed.push(result.failed);
  });
  return json(failed.length === 0 ? 200 : 202, { success, failed });
}

function ownership(call: Call, apply: (item: Item, index: number) => ItemResult): Reply {
  const wantsObjects = call.url.searchParams.get('success_objects') === '1';
  return itemwise(call, apply, wantsObjects ? ({ attribute }) => attributeObject(attribute) : plain);
}

function plain({ success }: { success: Item }): object {
  return success;
}

function withoutDate({ success }: { success: Item }): object {
  return Object.fromEntries(Object.entries(success).filter(([field]) => field !== 'date'));
}

function readItems({ body, contentType }: Call): Item[] {
  if (!/^application\/json\b/i.test(contentType)) {
    throw new Refusal(415, { detail: `Unsupported media type "${contentType}" in request.` });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw new Refusal(400, { detail: 'JSON parse error' });
  }
  if (!Array.isArray(parsed)) throw new Refusal(400, { error: 'Expected an array of objects' });
  if (parsed.length > MOST_OBJECTS) {
    throw new Refusal(400, { error: `Cannot process more than ${MOST_OBJECTS} objects in one call` });
  }
  return parsed.map((item: unknown) => {
    if (!isItem(item)) throw new Refusal(400, { error: 'Expected an array of objects' });
    return item;
  });
}

function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One page of a list: `{count, next, previous, results}`. */
function page<T>(call: Call, all: readonly T[], show: (one: T) => object): Reply {
  const query = call.url.searchParams;
  const limit = readCount(query, 'limit', PAGE_LIMIT, PAGE_LIMIT);
  const number = readCount(query, 'page', 1, 1_000_000);
  const from = (number - 1) * limit;
  if (number > 1 && from >= all.length) throw new Refusal(404, { detail: 'Invalid page.' });
  const link = (to: number): string => {
    const url = new URL(call.url);
    url.searchParams.set('page', String(to));
    return url.href;
  };
  return json(200, {
    count: all.length,
    next: from + limit < all.length ? link(number + 1) : null,
    previous: number > 1 ? link(number - 1) : null,
    results: all.slice(from, from + limit).map(show),
  });
}

function readCount(query: URLSearchParams, name: string, otherwise: number, most: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > most) throw new Refusal(400, { error: `"${name}" must be from 1 to ${most}` });
  return count;
}

function readDateMax(query: URLSearchParams, today: LocalDate): LocalDate {
  const text = query.get('date_max') ?? today;
  if (!isLocalDate(text)) throw new Refusal(400, { error: '"date_max" must be of format YYYY-mm-dd' });
  return text;
}

/** `count` days, the latest first. */
function daysBack(last: LocalDate, count: number): LocalDate[] {
  return Array.from({ length: count }, (_, back) => addDays(last, -back));
}

function dayValue(attribute: Attribute, date: LocalDate, { isStale = false }: Twist): object {
  const isOld = isStale && attribute.before.has(date);
  return { date, value: (isOld ? attribute.before : attribute.values).get(date) ?? null };
}

function templateObject(template: { name: string; label: string; group: string; valueType: number }): object {
  return {
    name: template.name,
    label: template.label,
    group: GROUPS.get(template.group),
    priority: 1,
    value_type: template.valueType,
    value_type_description: describeValueType(template.valueType),
  };
}

function attributeObject(attribute: Attribute): object {
  const service = attribute.owner === null ? null : { name: attribute.owner, label: attribute.owner };
  return {
    template: attribute.template,
    ...templateObject(attribute),
    service,
    active: attribute.owner !== null,
    manual: attribute.manual,
    available_services: service ? [service] : [],
  };
}

function isoWithOffset(at: number, zone: string): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  const name = parts.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
  const [, sign = '+', hours = '00', minutes = '00'] = /GMT([+-])(\d\d):(\d\d)/.exec(name) ?? [];
  const offsetMinutes = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1);
  const wall = new Date(at + offsetMinutes * 60_000).toISOString().slice(0, 19);
  return `${wall}${sign}${hours}:${minutes}`;
}
