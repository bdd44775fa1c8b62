import { expect, test } from 'vitest';
import { Bench } from './setup.ts';

test('what a broker keeps for us is known after a restart, until it is removed', () => {
  const bench = new Bench();
  const { sources } = bench.ledger;
  expect(sources.load('a')).toBeUndefined();
  sources.save('a', { session: '1', filters: { 'home/#': 2, 'garden/+': null } });
  sources.save('b', { session: '2', filters: {} });
  sources.save('a', { session: '3', filters: { 'garden/+': 2 } });
  bench.close();
  const again = new Bench(bench.folder);
  expect(again.ledger.sources.load('a')).toEqual({ session: '3', filters: { 'garden/+': 2 } });
  again.ledger.sources.remove('a');
  expect(again.ledger.sources.load('a')).toBeUndefined();
  expect(again.ledger.sources.load('b')).toEqual({ session: '2', filters: {} });
});
