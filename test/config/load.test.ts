import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../src/broker/limits.ts';
import { loadConfig } from '../../src/config/load.ts';
import { checkAccounts, checkExpression, configOf, FILE, linesOf, load, problemsOf } from './setup.ts';

const minimal = `exist:
  token: abc
attributes:
  fridge_opens: { label: Fridge opens, group: food, type: integer }
mappings:
  - topic: kitchen/fridge/door
    attribute: fridge_opens
    count: { when: open }
`;

describe('a valid configuration', () => {
  it('needs a token and one mapping, and everything else has a default', () => {
    const config = configOf(minimal);
    expect(config).toMatchObject({
      dataDir: '/home/pi/data',
      timezone: undefined,
      exist: {
        url: 'https://exist.io',
        token: 'abc',
        timeoutMs: 30_000,
        settleMs: 90_000,
        callsPerHour: 300,
      },
      flush: { everyMs: 300_000, lingerMs: 2_000, batch: 35 },
      broker: { listen: [{ host: '127.0.0.1', port: 1883 }] },
      web: { listen: { host: '127.0.0.1', port: 8088 } },
      demo: undefined,
    });
    expect(config.attributes).toEqual({
      fridge_opens: { name: 'fridge_opens', label: 'Fridge opens', group: 'food', type: 'integer' },
    });
    expect(config.mappings).toHaveLength(1);
    expect(config.mappings[0]).toMatchObject({ topic: ['kitchen/fridge/door'], line: 6, debounce: 0 });
  });

  it('needs no token where Exist is the sandbox', () => {
    expect(configOf(minimal.replace('token: abc', 'url: sandbox')).exist).toMatchObject({
      url: 'sandbox',
      token: undefined,
      sandboxPort: 0,
    });
  });

  it('can do without broker and without web', () => {
    const text = `${minimal}broker: false\nweb: false\nconnections: [{ url: h }]\n`;
    expect(configOf(text)).toMatchObject({ broker: false, web: false });
  });

  it('takes a section or an operation without a value as one in which nothing is set', () => {
    const text = `exist: { url: sandbox }\nflush:\nweb:\nmappings:\n  - topic: a\n    attribute: water\n    add:\n`;
    expect(configOf(text).flush.batch).toBe(35);
    expect(configOf(text).mappings[0]?.add).toEqual({});
  });

  it('reads several listeners, also of IPv6', () => {
    const text = `${minimal}broker: { listen: ["mqtt://[::1]:1884", "mqtt://localhost", "mqtt://127.0.0.1:0"] }\nweb: { listen: "[::1]:9000" }\n`;
    const { broker, web } = configOf(text);
    expect(broker && broker.listen).toEqual([
      { scheme: 'mqtt', host: '::1', port: 1884 },
      { scheme: 'mqtt', host: 'localhost', port: 1883 },
      { scheme: 'mqtt', host: '127.0.0.1', port: 0 },
    ]);
    expect(web && web.listen).toEqual({ host: '::1', port: 9000 });
  });

  it('gives the broker the limits it has itself, unless told otherwise', () => {
    const { broker } = configOf(minimal);
    expect(DEFAULT_LIMITS).toMatchObject(broker ? broker.limits : {});
    const other = configOf(
      `${minimal}broker: { limits: { packet_size: 64kB, connect_timeout: 3s } }\n`,
    ).broker;
    expect(other && other.limits).toMatchObject({ packetSize: 64_000, connectTimeoutMs: 3_000 });
  });

  it('fills in what is known of templates, by their name or under another one', () => {
    const text = `exist: { url: sandbox }
attributes:
  glasses: { template: water }
mappings:
  - { topic: a, attribute: glasses, add: {} }
  - { topic: b, attribute: coffees, count: { each: any } }
`;
    expect(configOf(text).attributes).toMatchObject({
      glasses: { template: 'water', type: 'integer', group: 'food' },
      coffees: { template: 'coffees', type: 'integer', label: 'Coffees' },
    });
  });

  it('makes a label of the name in words', () => {
    const text = minimal.replace('label: Fridge opens, group: food, ', '');
    expect(configOf(text).attributes['fridge_opens']).toMatchObject({
      label: 'Fridge opens',
      group: 'custom',
    });
  });

  it('reads numbers, words and booleans of conditions as what they are in YAML 1.2', () => {
    const words = configOf(minimal.replace('when: open', 'when: [on, yes, 1, true, "2"]')).mappings[0];
    expect(words?.count?.when).toEqual({ kind: 'oneOf', values: ['on', 'yes', 1, true, '2'] });
  });

  it('follows aliases', () => {
    const text = minimal
      .replace('open }', '&word open }')
      .concat('  - { topic: b, attribute: opens, count: { when: *word } }\n');
    expect(configOf(text.replaceAll('fridge_opens', 'opens')).mappings[1]?.count?.when).toEqual({
      kind: 'oneOf',
      values: ['open'],
    });
  });

  it('has a byte order mark and CRLF like any other', () => {
    expect(configOf(`\uFEFF${minimal.replaceAll('\n', '\r\n')}`)).toEqual(configOf(minimal));
  });
});

describe('the environment', () => {
  it('is put in place of ${NAME}, and $${ stays ${', () => {
    const text = minimal
      .replace('token: abc', 'token: ${TOKEN}')
      .replace('label: Fridge opens', () => 'label: "$${X} ${WORD}"');
    const config = configOf(text, { env: { TOKEN: 's3cret', WORD: 'Fridge' } });
    expect(config.exist.token).toBe('s3cret');
    expect(config.attributes['fridge_opens']?.label).toBe('${X} Fridge');
  });

  it('is not looked for in JSONata that groups by a name', () => {
    const text = minimal.replace('count:', `value: '$.{"a": b}.a'\n    count:`);
    expect(configOf(text).mappings[0]?.value).toBe('$.{"a": b}.a');
  });

  it('has a problem at the place of a variable that is not set, and no other there', () => {
    expect(linesOf(minimal.replace('token: abc', 'token: x${TOKEN}'))).toEqual([
      '2:11: exist.token: the environment variable TOKEN is not set; set it, or write the value or a file here; $${ stands for a literal ${',
    ]);
  });

  it('has a problem where the name is none', () => {
    expect(linesOf(minimal.replace('token: abc', 'token: ${MY-TOKEN}'))).toEqual([
      expect.stringContaining('2:10: exist.token: what stands between ${ and } is not the name'),
    ]);
  });

  it('needs quotes in flow style, and the problem says so', () => {
    expect(linesOf(minimal.replace('exist:\n  token: abc', 'exist: { token: ${TOKEN} }'))).toContainEqual(
      expect.stringMatching(
        /^1:\d+: this is not YAML: .*; inside of { } and \[ \] write "\$\{NAME\}" with quotes$/,
      ),
    );
  });

  it('shows no secret in any problem', () => {
    const secret = 'v3rySecretValue';
    const env = { SECRET: secret };
    for (const text of [
      minimal.replace('token: abc', 'token: "a ${SECRET}"'),
      minimal.replace('token: abc', 'token: "a b v3rySecretValue"'),
      minimal.replace('token: abc', 'token: *v3rySecretValue'),
      minimal.replace('token: abc', 'url: "https://user:v3rySecretValue@exist.io"'),
      minimal.replace('attribute: fridge_opens', 'attribute: "${SECRET}"'),
      minimal.replace('type: integer', 'type: "${SECRET}"'),
      minimal.replace('when: open', 'when: { above: "${SECRET}" }'),
      minimal.replace('  token: abc', '  timeout: "${SECRET}"'),
      minimal.replace('token: abc', 'token: @v3rySecretValue'),
      minimal.replace('topic: kitchen/fridge/door', 'topic: "#${SECRET}"'),
    ]) {
      const problems = problemsOf(text, { env });
      expect(problems.length).toBeGreaterThan(0);
      expect(JSON.stringify(problems.map(({ message, hint }) => [message, hint]))).not.toContain(secret);
    }
  });
});

describe('a token file', () => {
  const text = minimal.replace('token: abc', 'token_file: secrets/token');

  it('is read from beside the configuration, without the end of its line', () => {
    const files = { '/home/pi/secrets/token': 'abc\r\n' };
    expect(configOf(text, { files }).exist.token).toBe('abc');
  });

  it('that cannot be read is a problem at its place', () => {
    expect(linesOf(text)).toEqual([
      '2:15: exist.token_file: the file cannot be read: there is no such file; put the token into it, or name another one (relative to the folder of this file)',
    ]);
  });

  it('that says something else than a token is a problem that does not show it', () => {
    const problems = linesOf(text, { files: { '/home/pi/secrets/token': 'my token' } });
    expect(problems).toEqual([
      expect.stringMatching(/^2:15: exist.token_file: what the file says cannot be a token/),
    ]);
    expect(problems.join()).not.toContain('my token');
  });

  it('excludes a token', () => {
    const both = text.replace('exist:', 'exist:\n  token: abc');
    expect(linesOf(both, { files: { '/home/pi/secrets/token': 'abc' } })).toEqual([
      '3:15: exist.token_file: both token and token_file are given; keep one of them',
    ]);
  });
});

describe('what is no configuration', () => {
  it('is told of a file that is not there', () => {
    const readFile = (): string => {
      throw Object.assign(new Error('no'), { code: 'ENOENT' });
    };
    expect(loadConfig(FILE, { env: {}, readFile, checkExpression, checkAccounts })).toMatchObject({
      ok: false,
      problems: [
        {
          file: FILE,
          line: 1,
          column: 1,
          path: '',
          message: 'the file cannot be read: there is no such file',
        },
      ],
    });
  });

  it.each([
    ['an empty file', '', /^1:1: the file is empty/],
    ['comments alone', '# nothing\n', /^1:1: the file is empty/],
    ['a list', '- a\n', /^1:1: is a list; write keys/],
    ['a word', 'hello\n', /^1:1: is text; write keys/],
    ['two documents', `${minimal}---\na: 1\n`, /^9:1: a configuration is one YAML document/],
    ['a picture', `a: ${'x'.repeat(300_000)}`, /^1:1: the file has more than 256 KiB/],
    ['endless nesting of brackets', '['.repeat(9_000), /^1:1: lists and keys are nested more than 50/],
    ['endless nesting of dashes', '- '.repeat(9_000), /^1:1: lists and keys are nested more than 50/],
    ['endless nesting of keys', '? '.repeat(9_000), /^1:1: lists and keys are nested more than 50/],
    ['an alias of itself', 'a: &a [*a]\n', /an alias contains itself/],
    ['aliases of aliases', laughs(), /more than 100 aliases/],
  ])('is told of %s', (_, text, expected) => {
    const loaded = load(text);
    expect(loaded.ok).toBe(false);
    expect(linesOf(text).join('\n')).toMatch(new RegExp(expected.source, 'm'));
  });
});

/** The billion laughs: ten times ten times … */
function laughs(): string {
  const lines = ['a0: &a0 [x]'];
  for (let level = 1; level < 10; level += 1) {
    lines.push(`a${level}: &a${level} [${`*a${level - 1},`.repeat(10)}]`);
  }
  return lines.join('\n');
}
