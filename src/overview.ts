/**
 * Gathers what the parts know into one status: what the user sees on the terminal, the page and in metrics.
 */
import { fromUnits, type Units } from './core/units.ts';
import { unsent } from './core/delivery/plan.ts';
import { heldAmount } from './core/delivery/settlement.ts';
import type { Account, DeliveryState, Key } from './core/delivery/state.ts';
import type { Counters } from './core/journal.ts';
import type { MetricFamily } from './core/metrics.ts';
import { wordsOf } from './core/silence.ts';
import type { Status } from './core/status.ts';
import { localDate, type EpochMs, type LocalDate } from './core/time.ts';

export interface OverviewSources {
  readonly version: string;
  readonly uptimeMs: number;
  readonly now: EpochMs;
  /** Days are counted in it; `undefined` while time or zone is unknown. */
  readonly zone: string | undefined;
  /** Why instants cannot be trusted, while they cannot. */
  readonly timeProblem: string | undefined;
  readonly existUrl: string;
  readonly delivery: DeliveryState;
  /** Keys of today that are closed or open, for all that has one. */
  readonly keysOfDay: (day: LocalDate) => readonly Key[];
  readonly callsLeft: number;
  readonly flushEveryMs: number;
  readonly counters: Readonly<Counters>;
  readonly undated: number;
  readonly refused: Status['refused_readings'];
  readonly broker: Status['broker'];
  readonly connections: Status['connections'];
  readonly silent: Status['silent'];
  /** Trouble of other parts, in sentences. */
  readonly troubles: readonly string[];
}

export function overview(sources: OverviewSources): Status {
  const { delivery, now, zone } = sources;
  const { account } = delivery;
  const problems = problemsOf(sources);
  return {
    version: sources.version,
    uptime_s: Math.floor(sources.uptimeMs / 1_000),
    health: problems.length === 0 ? 'ok' : 'degraded',
    problems,
    exist: {
      url: sources.existUrl,
      state: stateOf(account, now),
      detail: (account.hold ?? account.pause)?.message ?? null,
      last_success: iso(account.lastSuccessAt),
      last_flush: iso(account.lastFlushAt),
      next_flush: iso(nextFlush(delivery, sources.flushEveryMs, now)),
      calls_left: sources.callsLeft,
    },
    broker: sources.broker,
    connections: sources.connections,
    silent: sources.silent,
    queue: queueOf(delivery, sources.undated),
    readings: { ...sources.counters },
    refused_readings: sources.refused,
    held: heldOf(delivery),
    held_attributes: [...delivery.attributes.values()].flatMap(({ name, state, reason }) =>
      state === 'held' ? [{ attribute: name, reason: reason ?? 'no reason given' }] : [],
    ),
    today: zone === undefined ? [] : todayOf(sources, localDate(now, zone)),
  };
}

function stateOf(account: Account, now: EpochMs): Status['exist']['state'] {
  if (account.hold) return 'held';
  if (account.pause && account.pause.until > now) return 'paused';
  return account.lastSuccessAt === null ? 'starting' : 'ok';
}

function problemsOf({ delivery, timeProblem, undated, troubles, zone, silent }: OverviewSources): string[] {
  const problems = [...troubles];
  const { account, attributes, keys } = delivery;
  if (account.hold?.reason === 'unauthorised') {
    problems.push(`Exist does not accept the token (${account.hold.message}): counts are kept until it does`);
  } else if (account.hold) {
    problems.push(`Exist refuses the bridge (${account.hold.message}): counts are kept until it does not`);
  } else if (account.pause && account.failures >= 3) {
    problems.push(`Exist cannot be reached (${account.pause.message}): counts are kept until it can`);
  }
  if (timeProblem !== undefined)
    problems.push(`the time is not known: ${timeProblem}; ${undated} readings wait for it`);
  else if (zone === undefined)
    problems.push(`the time zone is not known yet; ${undated} readings wait for it`);
  for (const { name, state, reason } of attributes.values()) {
    if (state === 'held') problems.push(`attribute ${name} is held: ${reason ?? 'no reason given'}`);
  }
  for (const one of silent) problems.push(`nothing was heard of ${wordsOf(one)} since ${one.last_heard}`);
  const held = [...keys.values()].filter((key) => key.held).length;
  if (held > 0) problems.push(`${held} ${held === 1 ? 'item is' : 'items are'} held for you to decide`);
  return problems;
}

/** Something of it waits to be sent; a fraction that waits for its whole unit does not. */
function isPending({ attributes }: DeliveryState, key: Key): boolean {
  if (key.held || key.flight !== 'none') return false;
  if (key.kind === 'value') return key.wanted !== key.delivered;
  return key.fixed !== null || unsent(key, attributes.get(key.attribute)) !== 0;
}

function queueOf(delivery: DeliveryState, undated: number): Status['queue'] {
  const all = [...delivery.keys.values()];
  return {
    pending_items: undated + all.filter((key) => isPending(delivery, key)).length,
    in_flight_items: all.filter((key) => key.flight === 'sending').length,
    unknown_items: all.filter((key) => key.flight === 'unknown' && !key.held).length,
    conflict_items: all.filter((key) => key.held?.state === 'conflict').length,
    refused_items: all.filter((key) => key.held?.state === 'refused').length,
  };
}

function heldOf({ keys, attributes }: DeliveryState): Status['held'] {
  return [...keys.values()].flatMap((key) => {
    if (!key.held) return [];
    const { attribute, day, seen } = key;
    const { state, reason, since } = key.held;
    const open = key.kind === 'sum' ? heldAmount(key, attributes.get(attribute)) : key.wanted;
    const shown = seen === null ? null : plain(seen);
    return [
      {
        attribute,
        day,
        state,
        reason,
        since: new Date(since).toISOString(),
        amount: plain(open),
        seen: shown,
      },
    ];
  });
}

function nextFlush(delivery: DeliveryState, flushEveryMs: number, now: EpochMs): EpochMs | null {
  const { account, keys } = delivery;
  if (![...keys.values()].some((key) => isPending(delivery, key))) return null;
  const allowedAt = account.lastFlushAt === null ? now : account.lastFlushAt + flushEveryMs;
  return Math.max(now, allowedAt, account.pause?.until ?? 0, account.hold?.until ?? 0) as EpochMs;
}

function todayOf({ delivery, keysOfDay }: OverviewSources, day: LocalDate): Status['today'] {
  return keysOfDay(day).map((key) => ({
    attribute: key.attribute,
    day,
    total: key.kind === 'sum' ? number(key.total) : plain(key.wanted),
    delivered: key.kind === 'sum' ? number(key.ours) : key.delivered === null ? null : plain(key.delivered),
    at_exist: delivery.attributes.get(key.attribute)?.existName ?? null,
  }));
}

function number(units: Units): number {
  return fromUnits(units);
}

function plain(value: Units | string): number | string {
  return typeof value === 'string' ? value : fromUnits(value);
}

function iso(instant: EpochMs | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}

/** The same in Prometheus' terms. */
export function metricsOf(status: Status, isReady: boolean): MetricFamily[] {
  const { queue, readings, exist, today, broker, connections } = status;
  const gauge = (name: string, help: string, value: number): MetricFamily => ({
    name: `mqtt2exist_${name}`,
    help,
    type: 'gauge',
    samples: [{ value }],
  });
  return [
    gauge('up', 'Whether the broker listens and the database is open.', isReady ? 1 : 0),
    gauge('degraded', 'Whether something needs attention; see status.', status.health === 'ok' ? 0 : 1),
    gauge('uptime_seconds', 'Seconds since the daemon was ready.', status.uptime_s),
    {
      name: 'mqtt2exist_readings_total',
      help: 'Readings by what became of them.',
      type: 'counter',
      samples: Object.entries(readings).map(([verdict, value]) => ({ labels: { verdict }, value })),
    },
    {
      name: 'mqtt2exist_queue_items',
      help: 'Attribute days by state.',
      type: 'gauge',
      samples: Object.entries(queue).map(([state, value]) => ({
        labels: { state: state.replace(/_items$/, '') },
        value,
      })),
    },
    gauge('exist_calls_left', 'Calls to Exist left in the hour that ends now.', exist.calls_left),
    {
      name: 'mqtt2exist_exist_state',
      help: 'State of the connection to Exist: 1 for the one it is in.',
      type: 'gauge',
      samples: (['starting', 'ok', 'paused', 'held'] as const).map((state) => ({
        labels: { state },
        value: exist.state === state ? 1 : 0,
      })),
    },
    gauge(
      'exist_last_success_timestamp_seconds',
      'When Exist last answered, 0 for never.',
      exist.last_success === null ? 0 : Date.parse(exist.last_success) / 1_000,
    ),
    gauge('broker_clients', 'Clients connected to the embedded broker.', broker?.clients ?? 0),
    {
      name: 'mqtt2exist_broker_not_done_total',
      help: 'What the embedded broker did not do for clients, by what and why.',
      type: 'counter',
      samples: (broker?.not_done ?? []).map(({ what, reason, count }) => ({
        labels: { what, reason },
        value: count,
      })),
    },
    {
      name: 'mqtt2exist_broker_certificate_expiry_timestamp_seconds',
      help: 'When the certificate expires that listeners with TLS show.',
      type: 'gauge',
      samples: broker?.certificate ? [{ value: Date.parse(broker.certificate.valid_until) / 1_000 }] : [],
    },
    {
      name: 'mqtt2exist_connection_up',
      help: 'Whether the connection to an existing broker stands.',
      type: 'gauge',
      samples: connections.map(({ name, state }) => ({
        labels: { name },
        value: state === 'connected' ? 1 : 0,
      })),
    },
    {
      name: 'mqtt2exist_connection_messages_total',
      help: 'Messages taken from an existing broker since the start.',
      type: 'counter',
      samples: connections.map(({ name, messages }) => ({ labels: { name }, value: messages })),
    },
    {
      name: 'mqtt2exist_silent',
      help: 'Mappings and devices that nothing was heard of for longer than their silent_after.',
      type: 'gauge',
      samples: status.silent.map((one) => ({ labels: { kind: one.kind, name: wordsOf(one) }, value: 1 })),
    },
    {
      name: 'mqtt2exist_today_total',
      help: "Today's total as the sensors said.",
      type: 'gauge',
      samples: today.flatMap(({ attribute, total }) =>
        typeof total === 'number' ? [{ labels: { attribute }, value: total }] : [],
      ),
    },
    {
      name: 'mqtt2exist_today_delivered',
      help: "What Exist has confirmed of today's total.",
      type: 'gauge',
      samples: today.flatMap(({ attribute, delivered }) =>
        typeof delivered === 'number' ? [{ labels: { attribute }, value: delivered }] : [],
      ),
    },
  ];
}
