import { describe, expect, test } from 'vitest';
import { Replays, WINDOW_MS } from '../../src/sources/replays.ts';

const FLAGGED = { retain: true, dup: false };

function setup() {
  const kept: string[] = [];
  const replays = new Replays((topic) => kept.push(topic));
  replays.begin(0);
  return { replays, kept };
}

describe('a message', () => {
  test('without the retain flag is no replay', () => {
    const { replays } = setup();
    expect(replays.isReplay('door', { retain: false, dup: false }, 1)).toBe(false);
  });

  test('with the retain flag is a replay in the window after subscribing, and the first one of its topic after it', () => {
    const { replays } = setup();
    expect(replays.isReplay('door', FLAGGED, 1)).toBe(true);
    expect(replays.isReplay('door', FLAGGED, WINDOW_MS - 1)).toBe(true);
    expect(replays.isReplay('window', FLAGGED, WINDOW_MS * 9)).toBe(true);
  });

  test('with the retain flag long after its topic was replayed comes from a broker that keeps the flag', () => {
    const { replays, kept } = setup();
    replays.isReplay('door', FLAGGED, 1);
    expect(replays.isReplay('door', FLAGGED, WINDOW_MS)).toBe(false);
    expect(replays.isReplay('door', FLAGGED, WINDOW_MS + 1)).toBe(false);
    expect(kept).toEqual(['door']);
  });

  test('that is redelivered is what its first copy was', () => {
    const { replays } = setup();
    replays.isReplay('door', FLAGGED, 1);
    expect(replays.isReplay('door', { retain: true, dup: true }, WINDOW_MS)).toBe(true);
  });

  test('may be replayed again after another subscription', () => {
    const { replays } = setup();
    replays.isReplay('door', FLAGGED, 1);
    replays.begin(WINDOW_MS);
    expect(replays.isReplay('door', FLAGGED, WINDOW_MS * 3)).toBe(true);
  });
});
