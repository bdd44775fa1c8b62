import { expect, test } from 'vitest';
import { refusalsOf, startCounters } from '../../src/broker/counters.ts';

test('what the broker did not do is told by what and why, and only what has happened', () => {
  const counters = startCounters();
  expect(refusalsOf(counters)).toEqual([]);
  counters.refusedConnections.too_many += 2;
  counters.flooded += 1;
  counters.denied.publish += 3;
  counters.topicsTooLarge += 1;
  counters.droppedQueued += 4;
  expect(refusalsOf(counters)).toEqual([
    { what: 'connection', reason: 'too_many', count: 2 },
    { what: 'connection', reason: 'above_its_rate', count: 1 },
    { what: 'publish', reason: 'no_right', count: 3 },
    { what: 'publish', reason: 'topic_too_large', count: 1 },
    { what: 'forward', reason: 'queue_full', count: 4 },
  ]);
});
