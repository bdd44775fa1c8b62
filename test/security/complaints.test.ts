/** Mistakes in a configuration at its secrets and beside them: what is wrong is told, and no secret is. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatProblem, type Problem } from '../../src/config/problem.ts';
import { load, problemsOf } from '../config/setup.ts';
import { COMMAND } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Places } from './search.ts';

/** With digits and capitals, as what was made at random has. */
const TOKEN = 'x7QtokenZ2w';
const PASSWORD = 'x8QpasswordZ3w';

const MAPPINGS = 'mappings:\n  - { topic: door, attribute: opens, count: { each: any } }';

/** Which secrets are shown by any part of any problem, and where. */
function shownBy(problems: readonly Problem[]): string[] {
  const places = new Places();
  for (const problem of problems) places.add(formatProblem(problem), JSON.stringify(problem));
  return places.whereabouts({ token: TOKEN, password: PASSWORD });
}

describe('a mistake is told without the secret', () => {
  test.each([
    // At the secret.
    [`exist: { token: "${TOKEN} x" }`, 'cannot be a token'],
    [`exist: { token: [${TOKEN}] }`, 'is a list; write text'],
    [`exist: { token: { ${TOKEN}: } }`, 'is a section with keys; write text'],
    [`exist: { token_file: ${TOKEN} }`, 'the file cannot be read'],
    [`exist: { token: x, client_secret: ${TOKEN} }`, 'both token and client_secret are given'],
    [`exist: { url: "https://me:${TOKEN}@exist.io" }`, 'must not carry a password'],
    [`exist: { token: "\${${TOKEN}}" }`, 'this environment variable is not set'],
    [`exist: { token: "\${${TOKEN}-}" }`, 'is not the name of an environment variable'],
    [`connections: [{ url: "mqtt://me:${PASSWORD}@host" }]`, 'must not carry a password'],
    [`connections: [{ url: "mqtt://me:${PASSWORD}" }]`, 'is not the URL of a broker'],
    [`connections: [{ url: h, username: a, password_file: ${PASSWORD} }]`, 'the file cannot be read'],
    [`connections: [{ url: "wss://h", tls: { cert: a, key: ${PASSWORD} } }]`, 'the file cannot be read'],
    [`broker: { listen: "mqtt://me:${PASSWORD}@0.0.0.0:1883" }`, 'is not a listener'],
    [`broker: { users: { oven: { password_hash: ${PASSWORD} } } }`, 'is not a password hash'],
    [`broker: { users: { oven: ${PASSWORD} } }`, 'is text; write keys'],
    [`web: { password: ${PASSWORD} }`, 'a password for the web page: not supported'],
    // At its key.
    [`exist: { tokn: ${TOKEN} }`, 'did you mean `token`?'],
    [`exist: { token:${TOKEN} }`, 'there is no space after the colon; write `token: …`'],
    [`exist: { token:${TOKEN}: 1, token:${TOKEN}: 2 }`, 'this key stands here twice'],
    [`exist:\n  token ${TOKEN}: x`, 'this key is not known'],
    [`connections: [{ url: h, username: a, password:${PASSWORD} }]`, 'there is no space after the colon'],
    [`connections: [{ url: h, password: ${PASSWORD} }]`, 'there is a password, and no username'],
    [`broker: { users: { oven: { password: ${PASSWORD} } } }`, 'this key is not known'],
    // So that it is no YAML any more.
    [`exist: { token: "a"${TOKEN} }`, 'this is not YAML'],
    [`exist:\n  token: }${TOKEN}`, 'this is not YAML: unexpected flow-map-end token in YAML stream'],
    [`exist:\n  token: |${TOKEN}`, 'block scalar header includes extra characters'],
    [`exist:\n  token: "\\U${TOKEN}"`, 'there is no such escape sequence'],
    [`exist:\n  token: !a!${TOKEN} x`, 'there is no such tag'],
    [`exist:\n  token: !${TOKEN} x`, 'tags that begin with `!` are not used here'],
    [`exist:\n  token: *${TOKEN}`, 'this alias has no anchor'],
    [`%YAML ${TOKEN}\n---\nexist: { token: x }`, 'there is no such directive'],
    // Where it does not belong.
    [`connections: [{ url: h }, { url: h, name: a }, { url: "${TOKEN}://h" }]`, 'is not spoken here'],
    [`exist: { timeout: ${TOKEN} }`, 'is not a duration'],
  ])('%j', (mistake, told) => {
    const exist = mistake.includes('exist:') ? '' : 'exist: { url: sandbox }\n';
    const problems = problemsOf(`${mistake}\n${exist}attributes: { opens: { type: integer } }\n${MAPPINGS}`);
    expect(problems.map(formatProblem).join('\n')).toContain(told);
    expect(shownBy(problems)).toEqual([]);
  });
});

/** Secrets as they stand in files: bare, quoted, on lines of their own; sections by lines and in braces. */
const LAYOUTS = [
  `exist:\n  token: ${TOKEN}\n  timeout: 5s\nconnections:\n  - url: mqtt://host\n    username: me\n    password: ${PASSWORD}\n    qos: 1\n`,
  `exist:\n  token: "${TOKEN}"\nconnections:\n  - url: mqtt://host\n    username: me\n    password: '${PASSWORD}'\n`,
  `exist:\n  token: |\n    ${TOKEN}\nconnections:\n  - url: mqtt://host\n    username: me\n    password: >\n      ${PASSWORD}\n`,
  `exist: { token: ${TOKEN}, timeout: 5s }\nconnections: [{ url: h, username: me, password: ${PASSWORD}, qos: 1 }]\n`,
  `exist: { token: "${TOKEN}" }\nconnections: [{ url: h, username: me, password: '${PASSWORD}' }]\n`,
];

/** What slips in or is forgotten while somebody types. */
const SLIPS = [
  ...['', ' ', '\n', '\n  ', '\t', '\r', '\0', ':', ': ', '-', '- ', '"', "'", '{', '}', '[', ']', ',', ' #'],
  ...['&', '*', '!', '|', '>', '%', '@', '`', '\\', '\\u12', '${', '}', '${A}', '?', '? ', '---\n', '...\n'],
  ...['=', '~', '<<: ', '__proto__: ', '!secret ', '%YAML 1.2\n'],
];

test('a slip anywhere in a configuration makes no complaint show a secret', () => {
  const slip = fc.record({
    layout: fc.constantFrom(...LAYOUTS),
    at: fc.nat(10_000),
    inserted: fc.constantFrom(...SLIPS),
    removed: fc.nat(3),
  });
  fc.assert(
    fc.property(slip, ({ layout, at, inserted, removed }) => {
      const text = `${layout}attributes: { opens: { type: integer } }\n${MAPPINGS}`;
      const index = at % layout.length;
      const broken = text.slice(0, index) + inserted + text.slice(index + removed);
      const loaded = load(broken, { env: { A: 'a' } });
      expect(loaded.ok ? [] : shownBy(loaded.problems), broken).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

const EVERYTHING = `data_dir: ./data
timezone: Europe/Berlin
exist: { url: sandbox, timeout: 5s, settle: 90s, calls_per_hour: 300, sandbox_port: 1 }
flush: { every: 5m, linger: 2s, batch: 35 }
broker:
  listen: [mqtt://127.0.0.1:1884, ws://127.0.0.1:1885/mqtt]
  origins: [http://a:1]
  limits: { packet_size: 64kB, keep_alive: 4h, connections: 5 }
connections:
  - { name: home, url: mqtt://h, username: u, client_id: c, protocol: 4, qos: 1, keep_alive: 30s }
web: { listen: 127.0.0.1:8088 }
attributes:
  opens: { label: Opens, group: food, type: integer, mode: shared }
  note: { type: text }
demo: { fridge_door: { every: 8s, topic: a } }
mappings:
  - { topic: a, attribute: opens, count: { when: open, hold: 5s, by: 1 }, value: x, if: y, id: z, at: t, age: s }
  - { topic: b, attribute: opens, rise: { reset: zero, max_step: 5, instance: x }, scale: 1, range: [0, 5] }
  - { topic: c, attribute: opens, duration: { while: on, max: 5m }, debounce: 5s, silent_after: 24h }
  - { topic: d, attribute: note, set: { pick: last } }
  - { topic: e, attribute: opens, time: { of: on, pick: first } }
`;

test('an environment variable at the wrong place is in no complaint, whatever it holds', () => {
  const values = [...EVERYTHING.matchAll(/(?<=: |\[|, )[^\s{}[\],]+(?=[\n,\]]| \})/g)];
  expect(values.length).toBeGreaterThan(50);
  // As a scheme, a path, a topic, a text with blanks, and what neither JSONata nor a regular expression is.
  for (const secret of [TOKEN, `${TOKEN}://a`, `/${TOKEN}`, `+${TOKEN}/#`, `a ${TOKEN} [`, `$/(${TOKEN}`]) {
    for (const { index, 0: value } of values) {
      const text = `${EVERYTHING.slice(0, index)}"\${SECRET}"${EVERYTHING.slice(index + value.length)}`;
      const loaded = load(text, { env: { SECRET: secret } });
      expect(loaded.ok ? [] : shownBy(loaded.problems), `${secret} for ${value}`).toEqual([]);
    }
  }
});

test.each(['check', 'check --json', 'run'])(
  '%s shows no secret of a file full of mistakes',
  async (words) => {
    const config = path.join(temporaryFolder(), 'mqtt2exist.yaml');
    writeFileSync(
      config,
      `exist: { token:${TOKEN}, url: "http://a:${TOKEN}@b" }\nconnections:\n  - { url: "mqtt://a:${PASSWORD}@b", password: ${PASSWORD} }\n  - { url: }${PASSWORD}\n`,
    );
    const child = spawn(process.execPath, [COMMAND, ...words.split(' '), '-c', config]);
    const places = new Places();
    child.stdout.on('data', (chunk: Buffer) => places.add('printed', chunk));
    child.stderr.on('data', (chunk: Buffer) => places.add('printed', chunk));
    await once(child, 'close');
    expect(child.exitCode).toBe(78);
    expect(places.text('printed')).toContain('there is no space after the colon');
    expect(places.whereabouts({ token: TOKEN, password: PASSWORD })).toEqual([]);
  },
);

test('where a problem shows a secret, it is found in it', () => {
  const problem = { file: 'a', line: 1, column: 1, message: 'b', hint: null };
  expect(shownBy([{ ...problem, path: `exist.token:${TOKEN}` }])).toHaveLength(1);
});
