import { describe, expect, it } from 'vitest';
import { checkAccounts, configOf, FILE, linesOf } from './setup.ts';
import { loadConfig } from '../../src/config/load.ts';

const HASH = `$6$ewP/VtSgLQz3ARWs$${'A'.repeat(86)}==`;
const OTHER = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

function withBroker(broker: string): string {
  return `exist: { url: sandbox }
mappings:
  - { topic: a, attribute: water, add: {} }
broker:
${broker
  .split('\n')
  .map((line) => `  ${line}`)
  .join('\n')}
`;
}

const OPEN = 'listen: mqtt://0.0.0.0:1883';

describe('a user', () => {
  it('has a hash, rights and perhaps a client identifier', () => {
    const text = withBroker(`users:
  fridge: { password_hash: "${HASH}", publish: [home/%u/#, x], subscribe: home/command, client_id: esp-1 }
  bare:
    password_hash_file: secret
`);
    const { users } = configOf(text, { files: { '/home/pi/secret': `${OTHER}\n` } });
    expect(users).toEqual([
      {
        name: 'fridge',
        passwordHash: HASH,
        publish: ['home/%u/#', 'x'],
        subscribe: ['home/command'],
        clientId: 'esp-1',
      },
      { name: 'bare', passwordHash: OTHER, publish: [], subscribe: [], clientId: undefined },
    ]);
  });

  it.each([
    ['{}', 'broker.users.a: the hash of the password is missing; make a hash with `mqtt2exist password`'],
    ['{ password_hash: secret }', 'broker.users.a.password_hash: is not a password hash; make one with'],
    [`{ password_hash: "a:${HASH}" }`, 'broker.users.a.password_hash: begins with a name'],
    [`{ password_hash: "${HASH}", password_hash_file: x }`, 'password_hash_file: both password_hash and'],
    ['{ password_hash_file: x }', 'password_hash_file: the file cannot be read: there is no such file'],
    [`{ password_hash: "${HASH}", publish: [a/#/b] }`, 'publish[0]: # must stand alone'],
    [`{ password_hash: "${HASH}", subscribe: 5 }`, 'broker.users.a.subscribe'],
    [`{ password_hash: "${HASH}", password: x }`, 'broker.users.a.password: this key is not known'],
  ])('as %s is a problem', (settings, problem) => {
    const lines = linesOf(withBroker(`users: { a: ${settings} }`));
    expect(lines).toEqual([expect.stringContaining(problem)]);
    expect(lines.join()).not.toContain('secret');
  });

  it('is not made of a file without a hash in it', () => {
    const files = { '/home/pi/x': 'my secret' };
    const lines = linesOf(withBroker('users: { a: { password_hash_file: x } }'), { files });
    expect(lines).toEqual([expect.stringContaining('what the file says is not a password hash')]);
    expect(lines.join()).not.toContain('my secret');
  });

  it('with wildcards in its name is told that %u grants it nothing', () => {
    const text = withBroker(`users: { "a/b": { password_hash: "${HASH}", publish: [x, home/%u] } }`);
    expect(linesOf(text)).toEqual([
      expect.stringContaining('%u grants nothing: there is + # or / in the name'),
    ]);
  });

  it('cannot have the client identifier of another', () => {
    const text = withBroker(`users:
  a: { password_hash: "${HASH}", client_id: esp }
  b: { password_hash: "${HASH}", client_id: esp }`);
    expect(linesOf(text)).toEqual([expect.stringContaining('belongs to a already')]);
  });

  it('cannot have the name of a device', () => {
    const text = withBroker(`users: { fridge: { password_hash: "${HASH}" } }`);
    expect(linesOf(text, { devices: ['fridge'] })).toEqual([
      expect.stringContaining(
        'a device has an account of this name already; take it out here, or `mqtt2exist',
      ),
    ]);
  });

  it('may be called whatever an object has already', () => {
    const text = withBroker(`users: { constructor: { password_hash: "${HASH}" } }`);
    expect(configOf(text).users).toMatchObject([{ name: 'constructor' }]);
  });
});

describe('a listener that is open to the network', () => {
  it.each([
    'mqtt://0.0.0.0:1883',
    'mqtt://192.168.1.10',
    'mqtt://[::]:1883',
    'mqtt://homeserver',
    'mqtt://[fe80::1]',
  ])('%s wants accounts, and is told how to get one', (url) => {
    expect(linesOf(withBroker(`listen: ["mqtt://127.0.0.1", "${url}"]`))).toEqual([
      expect.stringMatching(
        /broker\.listen\[1\]: is open to the network, and nobody has an account; make one with `mqtt2exist devices add NAME`/,
      ),
    ]);
  });

  it('is fine with a user', () => {
    expect(linesOf(withBroker(`${OPEN}\nusers: { a: { password_hash: "${HASH}" } }`))).toEqual([]);
  });

  it('is fine with a device', () => {
    expect(linesOf(withBroker(OPEN), { devices: ['fridge'] })).toEqual([]);
  });

  it('wants none of them on loopback addresses alone', () => {
    expect(
      linesOf(withBroker('listen: ["mqtt://127.0.0.1", "mqtt://[::1]", mqtt://localhost:1884]')),
    ).toEqual([]);
  });
});

it('tells of a file of devices that cannot be used', () => {
  const loaded = loadConfig(FILE, {
    env: {},
    readFile: () => withBroker(OPEN),
    checkExpression: () => undefined,
    checkAccounts: { ...checkAccounts, devices: () => ({ problem: 'it is not JSON', hint: 'mend it' }) },
  });
  expect(loaded).toMatchObject({
    ok: false,
    problems: [{ path: 'broker', message: 'it is not JSON', hint: 'mend it' }],
  });
});
