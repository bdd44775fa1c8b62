import type { Units } from '../units.ts';
import type { Key } from './state.ts';

/** Whatever became of it, nothing of the key is on its way any more. */
export function land(key: Key): void {
  key.flight = 'none';
  key.flightSince = null;
  key.flightAmount = 0 as Units;
  key.flightValue = null;
}
