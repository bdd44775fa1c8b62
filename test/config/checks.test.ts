import { describe, expect, it } from 'vitest';
import { configOf, linesOf, load, withMappings } from './setup.ts';

/** Messages of the one mapping, without place. */
function told(...mappings: readonly string[]): string[] {
  return linesOf(withMappings(...mappings)).map((line) => line.replace(/^\d+:\d+: /, ''));
}

describe('the type of an attribute and the operation', () => {
  const fits: readonly [operation: string, attributes: readonly string[]][] = [
    ['count: { when: open }', ['opens', 'litres', 'open_time']],
    ['add: {}', ['opens', 'litres', 'open_time', 'share']],
    ['rise: {}', ['opens', 'litres', 'open_time', 'share']],
    ['duration: { while: open }', ['opens', 'litres', 'open_time']],
    ['time: { of: open }', ['first_open', 'sleep_start']],
    ['set: {}', ['opens', 'litres', 'open_time', 'share', 'note', 'first_open', 'taken', 'mood']],
  ];
  const all = ['opens', 'litres', 'open_time', 'share', 'note', 'first_open', 'taken', 'mood', 'sleep_start'];

  it.each(fits)('%s takes the types it makes sense for, and no other', (operation, attributes) => {
    const taken = all.filter((name) => load(withMappings(`attribute: ${name}, ${operation}`)).ok);
    expect(taken).toEqual(operation === 'set: {}' ? all : attributes);
  });

  it('is told with the reason where they do not fit', () => {
    expect(told('attribute: note, count: { when: open }')).toEqual([
      'mappings[0].count: the attribute is of type text, which cannot be added up; use set, or give it the type integer, decimal or minutes',
    ]);
    expect(told('attribute: opens, time: { of: open }')).toEqual([
      'mappings[0].time: the attribute is of type integer, which holds no time of day; give it the type time_of_day',
    ]);
    expect(told('attribute: note, set: { pick: mean }')).toEqual([
      'mappings[0].set.pick: texts have no order and no mean; write first or last',
    ]);
    expect(told('attribute: opens, set: { round: 2 }')).toEqual([
      'mappings[0].set.round: the attribute is of type integer, which has no decimal places; take it out',
    ]);
  });
});

describe('mappings of one attribute', () => {
  it('may all add up, in different ways', () => {
    expect(told('attribute: litres, add: {}', 'attribute: litres, rise: {}')).toEqual([]);
  });

  it('may all write the same value of the day', () => {
    expect(
      told('attribute: first_open, time: { of: open }', 'attribute: first_open, set: { pick: first }'),
    ).toEqual([]);
  });

  it('must not mix', () => {
    expect(told('attribute: litres, add: {}', 'attribute: litres, set: {}')).toEqual([
      'mappings[1].set: mappings of one attribute must agree: this one writes the last value of the day, mappings[0] adds up; use another attribute for one of them',
    ]);
    expect(told('attribute: litres, set: {}', 'attribute: litres, set: { pick: max }')).toHaveLength(1);
  });
});

describe('an attribute', () => {
  it.each([
    ['must be known', 'mappings:\n  - { topic: a, attribute: opnes, add: {} }', /did you mean opens\?/],
    ['needs a type', 'attributes: { x: { label: X } }', /^\d+:\d+: attributes\.x\.type: the type is missing/],
    [
      'is known by its template',
      'attributes: { x: { template: watre } }',
      /not known here; did you mean water\?/,
    ],
    [
      'cannot change the type of a template',
      'attributes: { x: { template: water, type: text } }',
      /is of type integer/,
    ],
    [
      'has a template for itself',
      'attributes: { x: { template: water }, y: { template: water } }',
      /the attribute x is this template already/,
    ],
    [
      'has a label for itself',
      'attributes: { a_b: { type: text }, c: { type: text, label: "A b" } }',
      /cannot tell its label from that of a_b/,
    ],
    [
      'has no name that Exist keeps for templates of its own',
      'attributes: { x: { type: time_of_day_midday } }',
      /write one of integer/,
    ],
  ])('%s', (_, section, expected) => {
    const known = section.startsWith('attributes') ? '' : 'attributes: { opens: { type: integer } }\n';
    const mappings = section.startsWith('mappings')
      ? ''
      : 'mappings: [{ topic: a, attribute: water, add: {} }]\n';
    const lines = linesOf(`exist: { url: sandbox }\n${known}${mappings}${section}\n`);
    expect(lines).toEqual([expect.stringMatching(expected)]);
  });

  it('of a template that is not known here can be used with its type', () => {
    const text =
      'exist: { url: sandbox }\nattributes: { x: { template: new_one, type: integer } }\nmappings: [{ topic: a, attribute: x, add: {} }]\n';
    expect(configOf(text).attributes['x']).toMatchObject({ template: 'new_one', type: 'integer' });
  });
});

describe('a token', () => {
  const rest = 'mappings: [{ topic: a, attribute: water, add: {} }]\n';

  it('is needed unless Exist is the sandbox', () => {
    expect(linesOf(rest)).toEqual([
      expect.stringMatching(/^1:1: exist: the token of your Exist account is missing/),
    ]);
    expect(linesOf(`${rest}exist:\n  timeout: 5s\n`)).toEqual([
      expect.stringMatching(/^2:1: exist: the token/),
    ]);
    expect(linesOf(`${rest}exist: { url: sandbox }\n`)).toEqual([]);
  });
});

describe('listeners', () => {
  const rest = 'exist: { url: sandbox }\nmappings: [{ topic: a, attribute: water, add: {} }]\n';

  it.each(['127.0.0.1', '127.8.9.1', 'localhost', '[::1]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]'])(
    'may be on the loopback address %s',
    (host) => {
      expect(
        linesOf(`${rest}broker: { listen: "mqtt://${host}:1" }\nweb: { listen: "${host}:2" }\n`),
      ).toEqual([]);
    },
  );

  it.each([
    '0.0.0.0',
    '192.168.1.5',
    '[::]',
    '[fe80::1]',
    '[2001:db8::1]',
    'raspberrypi.local',
    '[::ffff:10.0.0.1]',
    '127.example.org',
    '[1::1]',
  ])('are refused on %s, which others can reach', (host) => {
    expect(linesOf(`${rest}broker: { listen: "mqtt://${host}:1" }\nweb: { listen: "${host}:2" }\n`)).toEqual([
      expect.stringContaining('broker.listen: is open to the network'),
      expect.stringContaining('web.listen: is open to the network'),
    ]);
  });

  it('have a port of their own', () => {
    const text = `${rest}broker: { listen: ["mqtt://127.0.0.1:1883", "mqtt://127.0.0.1", "mqtt://[::1]:1883"] }\nweb: { listen: 127.0.0.1:1883 }\n`;
    expect(linesOf(text)).toEqual([
      expect.stringContaining('broker.listen[1]: this listener stands here twice'),
      expect.stringContaining('web.listen: the broker listens on port 1883 too'),
    ]);
    const free = `${rest}broker: { listen: ["mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0"] }\nweb: { listen: 127.0.0.1:0 }\n`;
    expect(linesOf(free)).toEqual([]);
  });

  it('must be there for the simulated door', () => {
    expect(linesOf(`${rest}broker: false\nconnections: [{ url: h }]\ndemo: { fridge_door: {} }\n`)).toEqual([
      expect.stringContaining('demo.fridge_door: the simulated door needs the embedded broker'),
    ]);
    expect(configOf(`${rest}demo: { fridge_door: {} }\n`).demo).toEqual({
      everyMs: 8_000,
      topic: 'kitchen/fridge/door',
    });
    expect(linesOf(`${rest}demo: { fridge_door: { topic: a/# } }\n`)).toHaveLength(1);
  });
});

describe('a mapping', () => {
  it.each([
    ['a count of neither', 'count: {}', 'needs exactly one of when and each'],
    ['a hold without when', 'count: { each: open, hold: 5s }', 'mappings[0].count.hold: goes with when only'],
    ['a step of nothing', 'count: { each: open, by: 0 }', 'would count nothing'],
    ['a condition that is never true', 'count: { when: [open, unknown] }', 'can never hold'],
    [
      'bounds the wrong way round',
      'count: { when: { between: [5, 1] } }',
      'mappings[0].count.when.between: can never hold',
    ],
    [
      'hysteresis of a range',
      'count: { when: { between: [1, 5], hysteresis: 1 } }',
      'goes with above or below only',
    ],
    ['negative hysteresis', 'count: { when: { above: 1, hysteresis: -1 } }', 'is negative'],
    ['an unknown bound', 'count: { when: { abov: 1 } }', 'did you mean `above`?'],
    ['a step of a meter below zero', 'rise: { max_step: -1 }', 'must be more than 0'],
    ['a scale of zero', 'scale: 0, add: {}', 'would make every value 0'],
    ['an expression that cannot be read', 'value: "a +", add: {}', 'mappings[0].value:'],
    ['an instance that cannot be read', 'rise: { instance: "(" }', 'mappings[0].rise.instance:'],
  ])('is refused for %s', (_, operation, expected) => {
    expect(told(`attribute: opens, ${operation}`).join('\n')).toContain(expected);
  });

  it.each(['#/a', 'a/b+', '', '$SYS/x', '$share/group/a', 'mqtt2exist/x/status'])(
    'is refused for the topic %j',
    (topic) => {
      const text = `exist: { url: sandbox }\nmappings:\n  - { topic: "${topic}", attribute: water, add: {} }\n`;
      expect(linesOf(text)).toEqual([expect.stringMatching(/^3:14: mappings\[0\]\.topic: /)]);
    },
  );
});
