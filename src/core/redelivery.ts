/**
 * Which publishes were taken lately, so that one sent again counts once.
 *
 * MQTT's own marks are all there is where the payload carries no identity: a redelivery has the DUP flag, the
 * packet id and the content of the first copy [MQTT-3.3.1-1, MQTT-4.4.0-1]. A publish without DUP is always new,
 * since packet ids are used again. Bounded: 2,000 clients; the last 256 and 10 minutes where a device chose the
 * packet id: after a restart it begins anew with the same ids. A broker keeps its ids as long as its session, however
 * long that is, and may have all of them under way; the session is part of the client's name here.
 */
import { MINUTE_MS } from './time.ts';

const MOST_CLIENTS = 2_000;
const MOST_PER_CLIENT = 256;
/** Packet ids are 16 bits, 0 is none [MQTT-2.3.1-1]. */
export const ALL_PACKET_IDS = 65_535;
export const REDELIVERY_WINDOW_MS = 10 * MINUTE_MS;

interface Taken {
  readonly digest: string;
  readonly atMs: number;
}

export class RecentPublishes {
  private readonly clients = new Map<string, Map<number, Taken>>();

  /** Whether this is a second copy of a publish that was taken. Times are those of a monotonic clock. */
  isRedelivery(
    client: string,
    packetId: number,
    dup: boolean,
    digest: string,
    nowMs: number,
    withinMs: number = REDELIVERY_WINDOW_MS,
  ): boolean {
    if (!dup) return false;
    const taken = this.clients.get(client)?.get(packetId);
    return taken !== undefined && taken.digest === digest && nowMs - taken.atMs <= withinMs;
  }

  /** @param most how many of the client are remembered */
  remember(
    client: string,
    packetId: number,
    digest: string,
    atMs: number,
    most: number = MOST_PER_CLIENT,
  ): void {
    let recent = this.clients.get(client);
    if (!recent) {
      recent = new Map();
      this.clients.set(client, recent);
      dropOldest(this.clients, MOST_CLIENTS);
    }
    // A fresh insertion keeps the map in order of age.
    recent.delete(packetId);
    recent.set(packetId, { digest, atMs });
    dropOldest(recent, most);
  }

  /** The exchange is over, or the publish was not taken after all. */
  forget(client: string, packetId: number): void {
    this.clients.get(client)?.delete(packetId);
  }
}

function dropOldest(map: Map<unknown, unknown>, most: number): void {
  if (map.size <= most) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
