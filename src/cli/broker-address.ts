/**
 * Where devices find the broker: what to write into their settings.
 */
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/load.ts';
import { isLoopback } from '../config/listen.ts';
import { DaemonDown, statusOf } from './daemon.ts';

export interface BrokerAddress {
  /** Websockets are for programs: no device is told of them. */
  readonly scheme: 'mqtt' | 'mqtts';
  readonly host: string;
  readonly port: number;
  /** What the reader must know besides. */
  readonly notes: readonly string[];
}

const DEFAULT_PORT = 1883;
const EVERYWHERE = ['0.0.0.0', '::'];

export async function brokerAddress(config: Config | undefined): Promise<BrokerAddress> {
  if (config?.broker === false) {
    const note = 'the configuration has `broker: false`: accounts are of use with the embedded broker only';
    return { scheme: 'mqtt', host: ownAddress(), port: DEFAULT_PORT, notes: [note] };
  }
  const listeners = (config?.broker.listen ?? []).flatMap(({ scheme, host, port }) =>
    scheme === 'mqtt' || scheme === 'mqtts' ? [{ scheme, host, port }] : [],
  );
  const open = listeners.filter(({ host }) => !isLoopback(host));
  const [first] = open.length > 0 ? open : listeners;
  const listener = open.find(({ scheme }) => scheme === 'mqtt') ?? first;
  if (!config || !listener) {
    const note = 'no listener speaks MQTT without a websocket; write mqtt://0.0.0.0:1883 as one more';
    return { scheme: 'mqtt', host: ownAddress(), port: DEFAULT_PORT, notes: config ? [note] : [] };
  }
  const { scheme } = listener;
  const port = listener.port === 0 ? await portInUse(config, scheme) : listener.port;
  if (open.length > 0) {
    const host = EVERYWHERE.includes(listener.host) ? ownAddress() : listener.host;
    return { scheme, host, port, notes: [] };
  }
  const note =
    'the broker listens on this machine alone; for devices in the network write broker: { listen: "mqtt://0.0.0.0:1883" } and restart the daemon';
  return { scheme, host: listener.host, port, notes: [note] };
}

/** With port 0 only the running daemon knows. */
async function portInUse(config: Config, scheme: BrokerAddress['scheme']): Promise<number> {
  try {
    const listening = (await statusOf(config)).broker?.listening ?? [];
    const url = listening.find((one) => one.startsWith(`${scheme}:`));
    return url === undefined ? 0 : Number(new URL(url).port);
  } catch (error) {
    if (error instanceof DaemonDown) return 0;
    throw error;
  }
}

/** The first IPv4 address that others can reach. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((ofOne) => ofOne ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? 'ADDRESS';
}
