import { describe, expect, test } from 'vitest';
import { readPayload } from '../../src/core/payload.ts';
import type { Extraction } from '../../src/core/reading.ts';
import { compileExpressions, type ExpressionSources } from '../../src/expression/expressions.ts';

function extract(
  sources: ExpressionSources,
  payload: string,
  options?: { objectAsText: boolean },
): Extraction | Promise<Extraction> {
  const compiled = compileExpressions(sources, options);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return compiled.extract(readPayload(new TextEncoder().encode(payload)));
}

const values = (...list: unknown[]) => ({ kind: 'values', values: list });

describe('a payload without `value`', () => {
  test.each([
    ['open', 'open'],
    ['"Fridge door"', 'Fridge door'],
    ['4.3\0', 4.3],
    ['false', false],
    ['412.7g', '412.7g'],
  ])('%j is the value %j', (payload, value) => {
    expect(extract({}, payload)).toEqual(values(value));
  });

  test('gives several values where it is a list', () => {
    expect(extract({}, '[1,null,"2"]')).toEqual(values(1, '2'));
  });

  test.each(['{"contact":true}', '[{"contact":true}]', '[[1]]'])('%s asks for `value`', (payload) => {
    expect(extract({}, payload)).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/name a key with `value`/),
    });
  });

  test('is its text where messages are counted whatever they say', () => {
    expect(extract({}, '{"event":"S"}', { objectAsText: true })).toEqual(values('{"event":"S"}'));
    expect(extract({ value: 'e' }, '{"e":{"x":1}}', { objectAsText: true })).toEqual(values('{"x":1}'));
  });
});

describe('a plain path', () => {
  test('is followed at once, without a promise', () => {
    expect(extract({ value: 'ENERGY.Power' }, '{"ENERGY":{"Power":92}}')).toEqual(values(92));
  });

  test.each(['{"battery":86}', '{"action":null}', '{"action":""}', '{"action":"unavailable"}', '5', '[]'])(
    'that leads nowhere in %s is ignored',
    (payload) => {
      expect(extract({ value: 'action' }, payload)).toMatchObject({ kind: 'ignored' });
    },
  );

  test.each(['', 'unavailable', 'nan', 'None'])('is not looked for in %j', (payload) => {
    expect(extract({ value: 'action' }, payload)).toMatchObject({ kind: 'ignored' });
  });

  test.each(['{"weight": NaN}', '{"weight":', 'open', '[1,', '\u001b[0;36m[D] text'])(
    'is refused for %j',
    (payload) => {
      expect(extract({ value: 'weight' }, payload)).toMatchObject({ kind: 'refused' });
    },
  );

  test('that leads to an object is refused', () => {
    expect(extract({ value: 'ENERGY' }, '{"ENERGY":{"Power":92}}')).toEqual({
      kind: 'refused',
      reason: '`ENERGY` is an object: name a key in it',
    });
  });

  test('that leads to too many values is refused', () => {
    expect(extract({ value: 'a' }, `{"a":[${'1,'.repeat(1_000)}1]}`)).toMatchObject({ kind: 'refused' });
  });
});

describe('a formula', () => {
  test('gives its value later', async () => {
    const extraction = extract(
      { value: 'params.events[event="single_push"].event' },
      '{"params":{"events":[{"event":"single_push"},{"event":"btn_up"}]}}',
    );
    expect(extraction).toBeInstanceOf(Promise);
    expect(await extraction).toEqual(values('single_push'));
  });

  test('that finds nothing is ignored', async () => {
    expect(await extract({ value: 'a[b=1].c' }, '{"a":[{"b":2}]}')).toMatchObject({ kind: 'ignored' });
  });

  test('can read text', async () => {
    expect(await extract({ value: '$split($, ";")' }, '1;2')).toEqual(values('1', '2'));
  });

  test('that finds nothing in text is refused', async () => {
    expect(await extract({ value: 'a[b=1].c' }, 'text')).toMatchObject({ kind: 'refused' });
  });

  test('that fails is refused with its reason', async () => {
    expect(await extract({ value: 'a - 1' }, '{"a":"x"}')).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/^`value`: /),
    });
  });

  test('that gives a function is refused', async () => {
    expect(await extract({ value: '(function($x) { $x })' }, '{}')).toMatchObject({ kind: 'refused' });
  });
});

describe('`if`', () => {
  test.each([
    ['armed', '{"armed":true}', true],
    ['armed', '{"armed":false}', false],
    ['armed', '{"armed":"yes"}', true],
    ['armed', '{"armed":0}', false],
    ['armed', '{"armed":null}', false],
    ['armed', '{"armed":[0,""]}', false],
    ['armed', '{"armed":[0,1]}', true],
    ['armed', '{"armed":{}}', false],
    ['armed', '{}', false],
    ['id = 1544391234', '{"id":1544391234}', true],
    ['id = 1544391234', '{"id":1999000001}', false],
    ['$ = "open"', 'open', true],
    ['$ = "open"', 'closed', false],
  ])('%s of %s is %s', async (source, payload, expected) => {
    const extraction = await extract({ if: source }, payload, { objectAsText: true });
    expect(extraction.kind).toBe(expected ? 'values' : 'ignored');
  });

  test('keeps what is of no interest from being refused', async () => {
    expect(await extract({ if: 'on = true', value: 'a - 1' }, '{"on":false,"a":"x"}')).toMatchObject({
      kind: 'ignored',
    });
    expect(await extract({ if: 'on', value: 'a - 1' }, '{"on":false,"a":"x"}')).toMatchObject({
      kind: 'ignored',
    });
  });
});

describe('the keys beside the value', () => {
  test('give identity, instance and time', async () => {
    const payload = '{"v":1,"inst":"x","boot":3,"seq":7,"ts":1795158903,"late":"12 s"}';
    expect(
      await extract(
        { value: 'v', id: 'inst & "/" & boot & "/" & seq', instance: 'boot', at: 'ts', age: 'late' },
        payload,
      ),
    ).toEqual({ ...values(1), identity: 'x/3/7', instance: '3', deviceTime: 1_795_158_903, ageS: 12 });
  });

  test('are absent where the payload has none', () => {
    expect(
      extract({ value: 'v', id: 'n', instance: 'b', at: 't', age: 'a' }, '{"v":1,"t":null,"n":""}'),
    ).toEqual(values(1));
  });

  test('can be 0', () => {
    expect(extract({ value: 'v', id: 'n', age: 'a' }, '{"v":0,"n":0,"a":0}')).toEqual({
      ...values(0),
      identity: '0',
      ageS: 0,
    });
  });

  test.each<[ExpressionSources, string]>([
    [{ id: 'n' }, '{"v":1,"n":{}}'],
    [{ id: 'n' }, '{"v":1,"n":[1,2]}'],
    [{ id: 'n' }, `{"v":1,"n":"${'x'.repeat(300)}"}`],
    [{ at: 't' }, '{"v":1,"t":{}}'],
    [{ age: 'a' }, '{"v":1,"a":"long"}'],
    [{ age: 'a' }, '{"v":1,"a":true}'],
  ])('%j of %s is refused', (sources, payload) => {
    expect(extract({ value: 'v', ...sources }, payload)).toMatchObject({ kind: 'refused' });
  });
});

test('every mistake is told at once, with key and place', () => {
  expect(compileExpressions({ value: 'a +', if: '$nope()', id: ' ', at: 'time' })).toMatchObject({
    ok: false,
    problems: [
      { key: 'value', offset: 3 },
      { key: 'if', offset: 0 },
      { key: 'id', message: 'the expression is empty' },
    ],
  });
});
