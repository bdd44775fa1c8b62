/**
 * Where devices find the broker: what to write into their settings.
 */
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/load.ts';
import { isLoopback } from '../config/listen.ts';
import { DaemonDown, statusOf } from './daemon.ts';

export interface BrokerAddress {
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
    return { host: ownAddress(), port: DEFAULT_PORT, notes: [note] };
  }
  const listeners = config?.broker.listen ?? [];
  const open = listeners.filter(({ host }) => !isLoopback(host));
  const [listener] = open.length > 0 ? open : listeners;
  if (!config || !listener) return { host: ownAddress(), port: DEFAULT_PORT, notes: [] };
  const port = listener.port === 0 ? await portInUse(config) : listener.port;
  if (open.length > 0) {
    const host = EVERYWHERE.includes(listener.host) ? ownAddress() : listener.host;
    return { host, port, notes: [] };
  }
  const note =
    'the broker listens on this machine alone; for devices in the network write broker: { listen: "mqtt://0.0.0.0:1883" } and restart the daemon';
  return { host: listener.host, port, notes: [note] };
}

/** With port 0 only the running daemon knows. */
async function portInUse(config: Config): Promise<number> {
  try {
    const [url] = (await statusOf(config)).broker?.listening ?? [];
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
