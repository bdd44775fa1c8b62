import { expect, test } from 'vitest';
import { configOf, linesOf, type Surroundings } from './setup.ts';

const withExist = (exist: string): string =>
  `exist: { ${exist} }\nmappings:\n  - { topic: a, attribute: water, add: {} }\n`;

const FILES = { files: { '/home/pi/secret': 's3cret\n', '/home/pi/empty': '\n' } };

test.each<[string, string, Surroundings]>([
  ['written down', 'client_id: bridge, client_secret: s3cret', {}],
  ['from the environment', 'client_id: bridge, client_secret: "${SECRET}"', { env: { SECRET: 's3cret' } }],
  ['in a file', 'client_id: bridge, client_secret_file: ./secret', FILES],
])('a client with its secret %s', (_, exist, surroundings) => {
  expect(configOf(withExist(exist), surroundings).exist).toMatchObject({
    client: { id: 'bridge', secret: 's3cret' },
    token: undefined,
  });
});

test.each([
  ['token: abc, client_id: b, client_secret: c', '1:33: exist.client_id: both token and client_id are given'],
  ['token_file: ./secret, client_secret: c', '1:47: exist.client_secret: both token_file and client_secret'],
  ['client_id: b', '1:10: exist.client_id: there is no secret of it; write `client_secret: ${EXIST_'],
  ['client_secret: c', '1:25: exist.client_secret: there is a secret, and no client_id; write client_id'],
  [
    'client_id: b, client_secret: c, client_secret_file: ./secret',
    '1:62: exist.client_secret_file: both client_secret and client_secret_file are given; keep one',
  ],
  ['client_id: b, client_secret_file: ./none', '1:44: exist.client_secret_file: the file cannot be read'],
  [
    'client_id: b, client_secret_file: ./empty',
    '1:44: exist.client_secret_file: what the file says cannot be a secret',
  ],
  ['client_id: 7, client_secret: c', '1:21: exist.client_id: is a number; write text'],
  ['timeout: 30s', '1:1: exist: the token of your Exist account is missing; write `token'],
])('%s is told', (exist, expected) => {
  expect(linesOf(withExist(exist), FILES)).toEqual([expect.stringContaining(expected)]);
});
