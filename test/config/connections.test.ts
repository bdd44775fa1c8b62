import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { load } from '../../src/cli/configuration.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { CERTIFICATE, KEY } from '../exist/self-signed.ts';
import { temporaryFolder } from '../support/folder.ts';
import { configOf, linesOf } from './setup.ts';

const BASE = `exist: { url: sandbox }
mappings:
  - { topic: a, attribute: water, add: {} }
`;

function withConnections(...entries: readonly string[]): string {
  return `${BASE}connections:\n${entries.map((entry) => `  - ${entry}\n`).join('')}`;
}

describe('a connection', () => {
  test('is a URL and what the broker wants', () => {
    const text = withConnections(
      '{ url: mqtt://homeassistant.local }',
      '{ name: cloud, url: "wss://mqtt.example.org/ws", username: u, password_file: pw, client_id: c, protocol: 4, qos: 1, keep_alive: 5500ms, tls: { ca: ca.pem, cert: c.pem, key: k.pem } }',
    );
    const files = {
      '/home/pi/pw': 'a b\n',
      '/home/pi/ca.pem': 'CA',
      '/home/pi/c.pem': 'CERT',
      '/home/pi/k.pem': 'KEY',
    };
    expect(configOf(text, { files }).connections).toEqual([
      {
        name: 'homeassistant.local',
        scheme: 'mqtt',
        host: 'homeassistant.local',
        port: 1883,
        path: '/mqtt',
        username: undefined,
        password: undefined,
        clientId: undefined,
        protocol: undefined,
        tls: { ca: undefined, cert: undefined, key: undefined },
        qos: 2,
        keepAliveS: 30,
      },
      {
        name: 'cloud',
        scheme: 'wss',
        host: 'mqtt.example.org',
        port: 443,
        path: '/ws',
        username: 'u',
        password: 'a b',
        clientId: 'c',
        protocol: 4,
        tls: { ca: 'CA', cert: 'CERT', key: 'KEY' },
        qos: 1,
        keepAliveS: 6,
      },
    ]);
  });

  test.each([
    ['broker', 'mqtt', 'broker', 1883],
    ['192.168.1.5:1884', 'mqtt', '192.168.1.5', 1884],
    ['MQTTS://Broker/', 'mqtts', 'Broker', 8883],
    ['ws://[fe80::1]:9001', 'ws', 'fe80::1', 9001],
    ['wohnküche.fritz.box', 'mqtt', 'wohnküche.fritz.box', 1883],
  ])('at %s is read', (url, scheme, host, port) => {
    expect(configOf(withConnections(`{ url: "${url}" }`)).connections).toMatchObject([
      { scheme, host, port },
    ]);
  });

  test.each([
    ['{ name: x }', 'connections[0].url: is missing; write mqtt://homeassistant.local:1883'],
    [
      '{ url: "mqtt://u:p@h" }',
      'must not carry a password; write username and password as keys of their own',
    ],
    ['{ url: "http://h" }', 'http is not spoken here; write mqtt://'],
    ['{ url: "mqtt://h:70000" }', 'has no port from 1 to 65535'],
    ['{ url: "mqtt://h/x" }', 'has a path, which only websockets have'],
    ['{ url: "a b" }', 'is not the URL of a broker'],
    ['{ url: "ws://[:::]:9001" }', 'is not the URL of a broker'],
    ['{ url: h, qos: 0 }', 'connections[0].qos: is not known here; write one of 1, 2'],
    ['{ url: h, protocol: 3 }', 'connections[0].protocol: is not known here; write one of 4, 5'],
    ['{ url: h, keep_alive: 1s }', 'is out of range; write a duration from 5s to 1h'],
    ['{ url: h, usrname: x }', 'connections[0].usrname: this key is not known; did you mean `username`?'],
    [
      '{ url: h, password: x }',
      'connections[0].password: there is a password, and no username; write username',
    ],
    ['{ url: h, username: u, password: x, password_file: y }', 'both password and password_file are given'],
    ['{ url: h, username: u, password_file: y }', 'the file cannot be read: there is no such file'],
    ['{ url: h, username: u, password_file: empty }', 'what the file says cannot be a password'],
    ['{ url: h, tls: { ca: x } }', 'connections[0].tls: mqtt is spoken without TLS; write mqtts:// as url'],
    [
      '{ url: "mqtts://h", tls: { cert: x } }',
      'connections[0].tls: there is no key; write both cert and key',
    ],
    ['{ url: "mqtts://h", tls: { ca: x } }', 'connections[0].tls.ca: the file cannot be read'],
    ['{ url: "mqtt://localhost" }', 'connections[0].url: this is the embedded broker'],
  ])('%s is refused: %s', (entry, complaint) => {
    const lines = linesOf(withConnections(entry), { files: { '/home/pi/empty': '\n' } });
    expect(lines.join('\n')).toContain(complaint);
  });

  test('at another port of this machine is another broker', () => {
    expect(linesOf(withConnections('{ url: "mqtt://127.0.0.1:1884" }'))).toEqual([]);
  });

  test('has a name of its own', () => {
    expect(linesOf(withConnections('{ url: h }', '{ url: "h:1884" }'))[0]).toContain(
      'connections[1]: connections[0] is called h too; write another name',
    );
    expect(linesOf(withConnections('{ url: h }', '{ name: other, url: "h:1884" }'))).toEqual([]);
  });
});

test('without the embedded broker there must be a connection', () => {
  expect(linesOf(`${BASE}broker: false\n`)).toEqual([
    expect.stringContaining(
      'broker: without the embedded broker and without connections there is nothing to count',
    ),
  ]);
  expect(linesOf(`${BASE}broker: false\nconnections: []\n`)).toHaveLength(1);
  expect(linesOf(`${withConnections('{ url: "mqtt://localhost" }')}broker: false\n`)).toEqual([]);
});

/** Signed by itself, in 2020; its key is nowhere. */
const EXPIRED = `-----BEGIN CERTIFICATE-----
MIIBHTCBxQIUR3YJ2dwbmzWUEk4A2ajiyxMjWawwCgYIKoZIzj0EAwIwEjEQMA4G
A1UEAwwHZXhwaXJlZDAeFw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBIx
EDAOBgNVBAMMB2V4cGlyZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ4WlB6
tSrC5uKK0TvTNEoVkcUakpnG8AfkEQFszGzptMcAlst8IbUeVOR0/YNfAB7Qg864
UVQf6urrDUkLE5SXMAoGCCqGSM49BAMCA0cAMEQCIEliNUkpStEc3BNUxrTUtHHv
Nb+OzEq/qJrkv3cpaxOXAiAgejsF3y9XACGH9Ad4rXAdS1Z/DJLfXzSPlJ/sIWuA
FQ==
-----END CERTIFICATE-----
`;

describe('what the files of tls hold', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const other = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const cipher = { cipher: 'aes-256-cbc', passphrase: 'x' } as const;
  const encrypted = privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher }).toString();
  const damaged = (pem: string): string => pem.replace(/\n.{8}/, '\nAAAAAAAA');

  /** `undefined`: no such key; `null`: no such file. */
  interface Files {
    readonly ca?: string | null;
    readonly cert?: string | null;
    readonly key?: string | null;
  }

  function problemsWith(files: Files, certificate?: 'checked'): string[] {
    const folder = temporaryFolder();
    const lines = Object.entries(files).map(([name, content]: [string, string | null]) => {
      if (content === '/') mkdirSync(path.join(folder, `${name}.pem`));
      else if (content !== null) writeFileSync(path.join(folder, `${name}.pem`), content);
      return `      ${name}: ${name}.pem`;
    });
    const file = path.join(folder, 'mqtt2exist.yaml');
    writeFileSync(file, [withConnections('url: mqtts://h').trimEnd(), '    tls:', ...lines, ''].join('\n'));
    const loaded = load(file, certificate ? { certificate } : {});
    return loaded.ok ? [] : loaded.problems.map((one) => formatProblem(one).replace(`${folder}/`, ''));
  }

  const PAIR = { cert: CERTIFICATE, key: KEY };

  test.each<[string, Files, string]>([
    [
      'no such file',
      { ca: null },
      '7:11: connections[0].tls.ca: the file cannot be read: there is no such file; name',
    ],
    ['a folder', { ca: '/' }, '7:11: connections[0].tls.ca: the file cannot be read: it is a folder; name'],
    [
      'a text as ca',
      { ca: 'hello' },
      '7:11: connections[0].tls.ca: there is no certificate in it; write it as PEM',
    ],
    ['a key as ca', { ca: KEY }, '7:11: connections[0].tls.ca: there is a key in it and no certificate; '],
    [
      'a damaged ca',
      { ca: damaged(CERTIFICATE) },
      '7:11: connections[0].tls.ca: the certificate in it is damaged; copy',
    ],
    ['an expired ca', { ca: EXPIRED }, '7:11: connections[0].tls.ca: it expired on 2021-01-01; get'],
    [
      'a text as cert',
      { ...PAIR, cert: 'hello' },
      '7:13: connections[0].tls.cert: there is no certificate in it; write',
    ],
    [
      'a damaged cert',
      { ...PAIR, cert: damaged(CERTIFICATE) },
      '7:13: connections[0].tls.cert: the certificate in it is',
    ],
    [
      'an expired cert',
      { ...PAIR, cert: EXPIRED },
      '7:13: connections[0].tls.cert: it expired on 2021-01-01; get',
    ],
    [
      'cert and key swapped',
      { cert: KEY, key: CERTIFICATE },
      '7:13: connections[0].tls.cert: there is a key in it and no',
    ],
    [
      'junk as key',
      { ...PAIR, key: 'junk' },
      '8:12: connections[0].tls.key: there is no key in it; write it as PEM',
    ],
    [
      'a damaged key',
      { ...PAIR, key: damaged(KEY) },
      '8:12: connections[0].tls.key: the key in it is damaged; copy',
    ],
    [
      'an encrypted key',
      { ...PAIR, key: encrypted },
      '8:12: connections[0].tls.key: it is encrypted, and nobody is there',
    ],
    [
      'the key of another',
      { ...PAIR, key: other },
      '8:12: connections[0].tls.key: it is not the key of cert; name the',
    ],
  ])('is told with its place: %s', (_, files, complaint) => {
    expect(problemsWith(files, 'checked').join('\n')).toContain(`mqtt2exist.yaml:${complaint}`);
  });

  test('is taken where it is of use, old authorities beside a present one too', () => {
    expect(problemsWith({ ca: EXPIRED + CERTIFICATE, ...PAIR }, 'checked')).toEqual([]);
  });

  test('is looked into only where it is used', () => {
    expect(problemsWith({ ...PAIR, key: other })).toEqual([]);
    expect(problemsWith({ ...PAIR, key: null })).toHaveLength(1);
  });
});
