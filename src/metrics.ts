/**
 * The status in Prometheus' terms.
 */
import type { MetricFamily } from './core/metrics.ts';
import { wordsOf } from './core/silence.ts';
import type { Status } from './core/status.ts';

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
