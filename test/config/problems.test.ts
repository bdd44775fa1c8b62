import { expect, it } from 'vitest';
import { formatProblem, nearest } from '../../src/config/problem.ts';
import { linesOf, problemsOf, withMappings } from './setup.ts';

const faulty = `data_dir: ""
timezone: Europe/Berln
exist:
  tokn: abc
  url: ftp://exist.io
  timeout: 5
  token: \${NOPE}
  client_id: abc
flush: { every: 5 minutes, batch: 36, linger: 2h }
flsh: 1
broker:
  listen: ["mqtt://0.0.0.0:1883", "wss://127.0.0.1:1", "mqtt://[::1]", tcp]
  users: []
  limits: { packet_size: 64kb, connections: 1.5, topic_levels: 1, topic_levels: 2 }
web: { listen: 192.168.1.2:80, password: x }
connections: {}
attributes:
  fridge_opens: { group: fod, type: integer, foo: 1 }
  note: { type: text }
  bare: {}
  1x: { type: text }
mappings:
  - topic: a/#/b
    atribute: fridge_opens
    count: { when: { above: 1, below: 2 } }
  - topic: a
    attribute: note
    count: { when: unavailable }
    add: {}
  - topic: []
    attribute: note
    count: { when: open, each: any }
  - topic: [a, 5]
    attribute: fridge_openz
    while: open
    value: "a["
  - topic: $SYS/uptime
    attribute: fridge_opens
    debounce:
    range: [5, 1]
    count: { when: [a, null] }
  - topic: x
    attribute: fridge_opens
    set: { round: 7 }
  - { topic: x, attribute: *foo, add: !x {} }
<<: { a: 1 }
`;

it('finds every mistake of a file in one go, each at its place', () => {
  const places = problemsOf(faulty).map(({ line, column, path }) => `${line}:${column} ${path}`);
  expect(places).toEqual(
    [
      '1:11 data_dir',
      '2:11 timezone',
      '4:3 exist.tokn',
      '5:8 exist.url',
      '6:12 exist.timeout',
      '7:10 exist.token',
      '8:14 exist.client_id',
      '9:17 flush.every',
      '9:35 flush.batch',
      '9:47 flush.linger',
      '10:1 flsh',
      '12:12 broker.listen[0]',
      '12:35 broker.listen[1]',
      '12:72 broker.listen[3]',
      '13:10 broker.users',
      '14:26 broker.limits.packet_size',
      '14:45 broker.limits.connections',
      '14:67 broker.limits.topic_levels',
      '15:16 web.listen',
      '15:32 web.password',
      '16:14 connections',
      '18:26 attributes.fridge_opens.group',
      '18:46 attributes.fridge_opens.foo',
      '20:3 attributes.bare.type',
      '21:3 attributes.1x',
      '23:5 mappings[0].attribute',
      '23:12 mappings[0].topic',
      '24:5 mappings[0].atribute',
      '25:20 mappings[0].count.when',
      '26:5 mappings[1]',
      '28:20 mappings[1].count.when',
      '30:12 mappings[2].topic',
      '32:12 mappings[2].count',
      '32:12 mappings[2].count',
      '33:5 mappings[3]',
      '33:16 mappings[3].topic[1]',
      '34:16 mappings[3].attribute',
      '35:5 mappings[3].while',
      '36:15 mappings[3].value',
      '37:12 mappings[4].topic',
      '39:5 mappings[4].debounce',
      '40:12 mappings[4].range',
      '41:24 mappings[4].count.when[1]',
      '44:19 mappings[5].set.round',
      '44:19 mappings[5].set.round',
      '44:10 mappings[5].set',
      '45:28 mappings[6].attribute',
      '45:39 ',
      '46:1 <<',
    ].sort(byPlace),
  );
});

function byPlace(a: string, b: string): number {
  const [lineA = 0, columnA = 0] = a.split(/[: ]/).map(Number);
  const [lineB = 0, columnB = 0] = b.split(/[: ]/).map(Number);
  return lineA - lineB || columnA - columnB;
}

it('says what is wrong and what to write instead', () => {
  const text = problemsOf(faulty).map(formatProblem).join('\n');
  for (const expected of [
    'mqtt2exist.yaml:6:12: exist.timeout: is not a duration; write a number with its unit: 500ms, 5s, 10m, 2h or 1d',
    'exist.tokn: this key is not known; did you mean `token`?',
    'flsh: this key is not known; did you mean `flush`?',
    'exist.client_id: both token and client_id are given, which are two ways to one account; keep the token',
    'broker.users: is a list; write keys',
    'web.password: a password for the web page: not supported in this version yet',
    'connections: is not a list of connections; begin each with `- url: mqtt://…`',
    'broker.listen[0]: is open to the network, and nobody has an account',
    'broker.listen[1]: is a listener with TLS, and there is no certificate; `mqtt2exist certificate` makes one',
    'web.listen: is open to the network, and that needs a password',
    'flush.batch: is too large; write a whole number from 1 to 35',
    'flush.linger: is out of range; write a duration from 0s to 1h',
    'broker.limits.topic_levels: this key stands here twice',
    '(did you mean food?)',
    'mappings[1]: has 2 operations (count, add); write a mapping for each',
    'mappings[3]: has no operation; write one of count, add, rise, duration, set or time',
    'mappings[3].while: this key is not known here; write it below `duration`',
    'mappings[3].attribute: no attribute and no template of Exist has this name; did you mean fridge_opens?',
    '<<: merge keys are not used here',
  ]) {
    expect(text).toContain(expected);
  }
});

it('tells of an expression where it breaks off', () => {
  const text = withMappings('attribute: opens, value: "a.b[c = ]", count: { when: 1 }');
  const [problem, ...others] = problemsOf(text);
  expect(others).toEqual([]);
  expect(problem?.path).toBe('mappings[0].value');
  // The bracket behind `c = `: where the expression is on one line, the column is that of the mistake.
  const line = text.split('\n')[(problem?.line ?? 0) - 1] ?? '';
  expect(problem?.column).toBeGreaterThan(line.indexOf('a.b[c') + 1);
});

it('tells of garbled YAML once a line, and not of what may be missing through it', () => {
  expect(linesOf('exist: { url: sandbox }\nmappings:\n\t- topic: a\n')).toEqual([
    '3:1: this is not YAML: tabs are not allowed as indentation; indent with spaces',
    expect.stringMatching(/^3:4: mappings\[0\]: has no operation/),
  ]);
  expect(linesOf('exist: { token: ${X} }\n')).toHaveLength(1);
});

it('knows the nearest name of a misspelt one, and none for a word of another kind', () => {
  const names = ['token', 'token_file', 'timeout', 'calls_per_hour'];
  expect(nearest('tokne', names)).toBe('token');
  expect(nearest('callsPerHour', names)).toBe('calls_per_hour');
  expect(nearest('time-out', names)).toBe('timeout');
  expect(nearest('banana', names)).toBeUndefined();
});
