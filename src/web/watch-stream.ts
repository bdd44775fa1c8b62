/**
 * Readings as they come, one JSON object a line, for as long as somebody reads them. Whoever reads too slowly misses
 * lines, and is told how many: nothing waits for a reader.
 */
import type { ServerResponse } from 'node:http';
import type { WatchLine } from '../core/sighting.ts';

/** Begins to show what comes; gives back how to stop it, or `undefined` where too many watch already. */
export type Watch = (show: (line: WatchLine) => void) => (() => void) | undefined;

const MOST_WAITING_BYTES = 65_536;
/** An empty line: a connection whose other end is gone is noticed. */
const SIGN_OF_LIFE_MS = 15_000;

/** Whether there was a place for this reader. */
export function streamWatch(response: ServerResponse, watch: Watch): boolean {
  // Lines may come before we know that there is a place.
  response.setHeader('content-type', 'application/x-ndjson; charset=utf-8');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  let leftOut = 0;
  const stop = watch((line) => {
    if (response.writableLength > MOST_WAITING_BYTES) {
      leftOut += 1;
      return;
    }
    if (leftOut > 0) response.write(`${JSON.stringify({ left_out: leftOut })}\n`);
    leftOut = 0;
    response.write(`${JSON.stringify(line)}\n`);
  });
  if (!stop) return false;
  response.flushHeaders();
  const timer = setInterval(() => response.write('\n'), SIGN_OF_LIFE_MS);
  response.on('error', () => undefined);
  response.on('close', () => {
    clearInterval(timer);
    stop();
  });
  return true;
}
