import { expect, test } from 'vitest';
import { predecessorAmong, readSessionKey, sessionKey } from '../../src/sources/session-key.ts';

test.each([
  ['x mqtt://host:1883', { clientId: 'x', scheme: 'mqtt', host: 'host', port: 1883, path: '/mqtt' }],
  [
    'my id mqtts://[fd00::5]:8883',
    { clientId: 'my id', scheme: 'mqtts', host: 'fd00::5', port: 8883, path: '/mqtt' },
  ],
  [
    'a mqtt://b:1 wss://c.d:443/ws',
    { clientId: 'a mqtt://b:1', scheme: 'wss', host: 'c.d', port: 443, path: '/ws' },
  ],
  ['x ws://wohnküche:80/', { clientId: 'x', scheme: 'ws', host: 'wohnküche', port: 80, path: '/' }],
] as const)('%s is read as it was written', (key, options) => {
  expect(readSessionKey(key)).toEqual(options);
  expect(sessionKey(options)).toBe(key);
});

test.each(['', 'x', 'mqtt://host:1883', 'x http://host:80', 'x mqtt://host'])('%s is no key', (key) => {
  expect(readSessionKey(key)).toBeUndefined();
});

test.each([
  [
    'the one of the same host',
    ['x mqtt://h:1883', 'x mqtt://other:1883', 'y mqtt://h:1883'],
    'x mqtt://h:1883',
  ],
  [
    'the only one of the client id',
    ['x mqtt://192.168.1.5:1883', 'y mqtt://h:1883'],
    'x mqtt://192.168.1.5:1883',
  ],
  ['none of several of the host', ['x mqtt://h:1883', 'x mqtts://H:8883', 'x mqtt://i:1883'], undefined],
  ['none of several elsewhere', ['x mqtt://i:1883', 'x mqtt://j:1883'], undefined],
  ['none of other client ids', ['y mqtt://h:1883'], undefined],
])('the predecessor of client id x at host H is %s', (_, keys, predecessor) => {
  expect(predecessorAmong(keys, { clientId: 'x', host: 'H' })).toBe(predecessor);
});
