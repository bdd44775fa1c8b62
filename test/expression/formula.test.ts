import { describe, expect, test } from 'vitest';
import { compileFormula, type Evaluated } from '../../src/expression/formula.ts';

async function evaluate(source: string, input: unknown): Promise<Evaluated> {
  const formula = compileFormula(source);
  if ('message' in formula) throw new Error(formula.message);
  return formula.evaluate(input);
}

async function millisecondsOf(task: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await task();
  return performance.now() - started;
}

describe('a formula', () => {
  test.each<[string, unknown, unknown]>([
    ['a + b', { a: 1, b: 2 }, 3],
    [
      'params.events[event="single_push"].event',
      { params: { events: [{ event: 'single_push' }] } },
      'single_push',
    ],
    ['inst & "/" & boot & "/" & seq', { inst: 'x', boot: 2, seq: 7 }, 'x/2/7'],
    ['$substringAfter($, ":")', 'weight:72', '72'],
    ['$pad("7", -3, "0")', {}, '007'],
    ['$distinct([1, 2, 1])[1]', {}, 2],
    ['$toMillis("2026-11-20T07:15:03Z")', {}, 1_795_158_903_000],
    ['$toMillis("20.11.2026 07:15", "[D01].[M01].[Y0001] [H01]:[m01]")', {}, 1_795_158_900_000],
    ['$parseInteger("1,200", "#,##0")', {}, 1200],
    ['$formatInteger(7, "000")', {}, '007'],
    ['$sort(list, function($a, $b) { $a < $b })[0]', { list: [1, 3, 2] }, 3],
    ['a ~> $pad(3)', { a: 'x' }, 'x  '],
    ['($f := function($x) { $x * 2 }; $f(a))', { a: 4 }, 8],
    ['list@$l.$l.n', { list: [{ n: 1 }] }, 1],
    ['$contains(name, /^fri(d|t)ge$/i)', { name: 'Fridge' }, true],
    ['$replace(name, /o+/, "0")', { name: 'foo boo' }, 'f0 b0'],
    ['nothing', {}, undefined],
  ])('%s of %j is %j', async (source, input, expected) => {
    const evaluated = await evaluate(source, input);
    expect(JSON.parse(JSON.stringify(evaluated))).toEqual(expected === undefined ? {} : { value: expected });
  });

  test.each([
    ['a +', /end of expression/, 3],
    ['a.b[', /./, undefined],
    ['$frobnicate(a)', /there is no \$frobnicate/, 0],
    ['1 + $eval(payload)', /\$eval is not available/, 4],
    ['($e := $eval; $e(payload))', /\$eval is not available/, 7],
    ['$now()', /\$now is not available/, 0],
    ['$millis() - ts', /`at` and `age`/, 0],
    ['$random()', /not available/, 0],
    ['/(/', /./, undefined],
    ['('.repeat(3_999), /./, undefined],
    ['x'.repeat(4_001), /4001 characters/, undefined],
  ])('%s is turned down where the configuration is read', (source, message, offset) => {
    const problem = compileFormula(source);
    expect(problem).toMatchObject({ message: expect.stringMatching(message) });
    if (offset !== undefined) expect(problem).toMatchObject({ offset });
  });

  test.each([
    ['an error', '$error("no")', {}, /no/],
    ['a wrong type', 'a - 1', { a: 'x' }, /./],
    ['no end', '($f := function() { $f() }; $f())', {}, /timeout/i],
    ['great depth', '($f := function($n) { 1 + $f($n) }; $f(1))', {}, /stack|depth/i],
    ['a long list', '[1..10000000]', {}, /./],
    ['a wide pad', '$pad("", width)', { width: 5e7 }, /too much/],
    [
      'many to tell apart',
      '$distinct(list)',
      { list: Array.from({ length: 1_001 }, (_, index) => index) },
      /too much/,
    ],
    ['many to sort', '$sort(list)', { list: Array.from({ length: 1_001 }, () => 1) }, /too much/],
    ['a long number', '$toMillis(text, "[Y][M][D]")', { text: '1'.repeat(10_000) }, /too much/],
    [
      'a pattern that explodes',
      '$contains(text, /^(a+)+$/)',
      { text: `${'a'.repeat(40)}!` },
      /takes too long/,
    ],
    [
      'a pattern that crawls',
      '$contains(text, /a*a*a*a*a*!/)',
      { text: 'a'.repeat(20_000) },
      /takes too long/,
    ],
  ])('with %s is refused in time', async (_, source, input, reason) => {
    let evaluated: Evaluated | undefined;
    const spent = await millisecondsOf(async () => {
      evaluated = await evaluate(source, input);
    });
    expect(evaluated).toEqual({ reason: expect.stringMatching(reason) });
    expect(spent).toBeLessThan(1_000);
  });

  test('leaves what it reads as it was', async () => {
    const input = { list: [3, 1, 2], name: 'x' };
    const before = JSON.stringify(input);
    await evaluate('$sort(list)', input);
    await evaluate('$ ~> | $ | {"name": "y"} |', input);
    expect(JSON.stringify(input)).toBe(before);
  });

  test('has its time for itself, however many wait', async () => {
    const formula = compileFormula('$sum(list.($ * 2))');
    if ('message' in formula) throw new Error(formula.message);
    const list = Array.from({ length: 300 }, (_, index) => index);
    const evaluated = await Promise.all(Array.from({ length: 200 }, () => formula.evaluate({ list })));
    expect(evaluated.every((one) => 'value' in one)).toBe(true);
  });
});
