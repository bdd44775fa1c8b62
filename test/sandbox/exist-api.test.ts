import { expect, test } from 'vitest';
import type { LocalDate } from '../../src/core/time.ts';
import { NOW, TODAY, YESTERDAY, setup, setupWithFridge, valueOf } from './setup.ts';

const PATH = '/api/2/attributes';

test('the profile tells the zone and the local time', async () => {
  const { client } = await setup({ timezone: 'Europe/Berlin' });
  expect(await client.profile()).toMatchObject({
    kind: 'answered',
    body: { username: 'sandbox', timezone: 'Europe/Berlin', local_time: '2026-08-02T12:30:00+02:00' },
  });
});

test('a zone west of Greenwich and one of half hours have their offset', async () => {
  const west = await setup({ timezone: 'America/St_Johns' });
  expect(await west.client.profile()).toMatchObject({ body: { local_time: '2026-08-02T08:00:00-02:30' } });
});

test('all templates a home can feed are listed, with group and type', async () => {
  const { client } = await setup();
  const outcome = await client.templates();
  if (outcome.kind !== 'answered') throw new Error(outcome.message);
  expect(outcome.body.nextPage).toBeNull();
  const types = Object.fromEntries(outcome.body.results.map(({ name, value_type }) => [name, value_type]));
  expect(types).toMatchObject({
    water: 0,
    weight: 1,
    mood_note: 2,
    sleep_end: 4,
    body_fat: 5,
    sleep_start: 6,
  });
  expect(Object.keys(types).length).toBeGreaterThanOrEqual(37);
});

test('lists come in pages that lead to each other', async () => {
  const { send } = await setup();
  const seen: string[] = [];
  let path: string | null = `${PATH}/templates/?limit=10`;
  while (path !== null) {
    const { json } = await send('GET', path);
    const page = json as { count: number; next: string | null; results: { name: string }[] };
    seen.push(...page.results.map(({ name }) => name));
    path = page.next === null ? null : page.next.slice(page.next.indexOf('/api'));
    if (path === null) expect(seen).toHaveLength(page.count);
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect((await send('GET', `${PATH}/templates/?page=99`)).status).toBe(404);
});

test('acquiring a template makes the attribute; acquiring it by name finds it', async () => {
  const { client } = await setup();
  const first = await client.acquire([{ template: 'water', manual: false }]);
  expect(first).toMatchObject({
    status: 200,
    body: { success: [{ name: 'water', template: 'water', manual: false, value_type: 0 }], failed: [] },
  });
  expect(await client.acquire([{ name: 'water', manual: true }])).toMatchObject({
    body: { success: [{ name: 'water', manual: true }] },
  });
  expect(await client.owned()).toMatchObject({ body: { results: [{ name: 'water' }], nextPage: null } });
});

test('what has no template and no attribute is not found', async () => {
  const { client } = await setup();
  const outcome = await client.acquire([
    { template: 'unicorns', manual: false },
    { name: 'unicorns', manual: false },
  ]);
  expect(outcome).toMatchObject({
    status: 202,
    body: { failed: [{ template: 'unicorns', error_code: 'not_found' }, { error_code: 'not_found' }] },
  });
});

test('a created attribute is named by its label, and cannot be created twice', async () => {
  const { client } = await setup();
  const object = { label: 'Fridge opens', group: 'food', value_type: 0, manual: false };
  expect(await client.create([object])).toMatchObject({
    status: 200,
    body: { success: [{ name: 'fridge_opens', label: 'Fridge opens', template: null }] },
  });
  expect(await client.create([object])).toMatchObject({
    status: 202,
    body: { success: [], failed: [{ label: 'Fridge opens', error_code: 'exists' }] },
  });
});

test('an attribute of an unknown group, type or label is not created', async () => {
  const { send } = await setup();
  const { json, status } = await send('POST', `${PATH}/create/`, [
    { label: 'A', group: 'nowhere', value_type: 0 },
    { label: 'A', group: 'food', value_type: 6 },
    { label: '!!!', group: 'food', value_type: 0 },
    { group: 'food', value_type: 0 },
  ]);
  expect(status).toBe(202);
  const { failed } = json as { failed: { error_code: string; error: string }[] };
  expect(failed.map(({ error_code }) => error_code)).toEqual([
    'validation',
    'validation',
    'validation',
    'missing_field',
  ]);
  expect(failed[3]?.error).toBe("Object at index 3 missing field(s) 'label'");
});

test('increments add up and answer the new total, without a date unless asked for', async () => {
  const { client, sandbox } = await setupWithFridge();
  const item = { name: 'fridge_opens', date: YESTERDAY, value: 2 };
  expect(await client.increment([item])).toEqual({
    kind: 'answered',
    status: 200,
    body: { success: [{ name: 'fridge_opens', current: 2 }], failed: [] },
    serverTime: expect.any(Number) as number,
  });
  expect(await client.increment([{ ...item, value: 3 }])).toMatchObject({
    body: { success: [{ current: 5 }] },
  });
  expect(valueOf(sandbox, 'fridge_opens', YESTERDAY)).toBe(5);
  expect(sandbox.state().journal).toEqual([
    { name: 'fridge_opens', date: YESTERDAY, value: 2, current: 2, at: NOW },
    { name: 'fridge_opens', date: YESTERDAY, value: 3, current: 5, at: NOW },
  ]);
});

test('with echoDates increments answer their dates', async () => {
  const { client } = await setupWithFridge({ echoDates: true });
  expect(await client.increment([{ name: 'fridge_opens', date: TODAY, value: 1 }])).toMatchObject({
    body: { success: [{ date: TODAY }] },
  });
});

test('an increment without a date is today’s, in the account’s zone', async () => {
  const { send, sandbox } = await setupWithFridge({
    timezone: 'Pacific/Auckland',
    clock: () => Date.UTC(2026, 7, 2, 13),
  });
  await send('POST', `${PATH}/increment/`, [{ name: 'fridge_opens', value: 1 }]);
  expect(valueOf(sandbox, 'fridge_opens', '2026-08-03')).toBe(1);
});

test('items are handled one by one: 202 with the good applied and the bad explained', async () => {
  const { send, sandbox } = await setupWithFridge();
  sandbox.release('water');
  const { json, status } = await send('POST', `${PATH}/increment/`, [
    { name: 'fridge_opens', date: TODAY, value: 1 },
    { name: 'fridge_opens', date: TODAY, value: 1.5 },
    { name: 'unicorns', date: TODAY, value: 1 },
    { name: 'fridge_opens', date: TODAY },
    { name: 'fridge_opens', date: '2026-02-30', value: 1 },
    { name: 'fridge_opens', date: TODAY, value: '1' },
  ]);
  expect(status).toBe(202);
  expect(json).toMatchObject({
    success: [{ name: 'fridge_opens', value: 1, current: 1 }],
    failed: [
      { value: 1.5, error_code: 'validation', error: 'Cannot apply a float to an integer type' },
      { name: 'unicorns', error_code: 'not_found' },
      { error_code: 'missing_field', error: "Object at index 3 missing field(s) 'value'" },
      { date: '2026-02-30', error_code: 'validation' },
      { value: '1', error_code: 'validation' },
    ],
  });
});

test.each(['mood_note', 'mood', 'sleep_end', 'sleep_start'])('%s cannot be incremented', async (template) => {
  const { client } = await setup();
  await client.acquire([{ template, manual: false }]);
  expect(await client.increment([{ name: template, date: TODAY, value: 1 }])).toMatchObject({
    status: 202,
    body: { failed: [{ name: template, error_code: 'validation' }] },
  });
});

test.each([
  ['water', 250, true],
  ['water', 0.5, false],
  ['weight', 72.4, true],
  ['mood_note', 'fine', true],
  ['mood_note', 7, false],
  ['mood_note', 'x'.repeat(1_001), false],
  ['sleep', 412, true],
  ['sleep', 412.5, false],
  ['sleep_end', 430, true],
  ['body_fat', 0.21, true],
  ['mood', 7, true],
  ['mood', 100, true],
  ['mood', 'good', false],
] as const)('an update of %s to %s is taken: %s', async (template, value, isTaken) => {
  const { client, sandbox } = await setup();
  await client.acquire([{ template, manual: false }]);
  const outcome = await client.update([{ name: template, date: TODAY, value }]);
  expect(outcome).toMatchObject({ status: isTaken ? 200 : 202 });
  expect(valueOf(sandbox, template, TODAY)).toBe(isTaken ? value : undefined);
});

test('an update overwrites, and never with null', async () => {
  const { client, send, sandbox } = await setupWithFridge();
  const item = { name: 'fridge_opens', date: TODAY, value: 5 };
  expect(await client.update([item])).toMatchObject({
    status: 200,
    body: { success: [{ name: 'fridge_opens', date: TODAY }] },
  });
  expect(await client.update([{ ...item, value: 3 }])).toMatchObject({ status: 200 });
  const { status } = await send('POST', `${PATH}/update/`, [{ ...item, value: null }]);
  expect(status).toBe(202);
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBe(3);
});

test('only the owner writes: after a release items are unauthorised, acquiring mends it', async () => {
  const { client } = await setupWithFridge();
  const item = { name: 'fridge_opens', date: TODAY, value: 1 };
  expect(await client.release([{ name: 'fridge_opens' }])).toMatchObject({ status: 200 });
  expect(await client.increment([item])).toMatchObject({
    status: 202,
    body: { failed: [{ name: 'fridge_opens', error_code: 'unauthorised' }] },
  });
  expect(await client.owned()).toMatchObject({ body: { results: [] } });
  expect(await client.attributes()).toMatchObject({ body: { results: [{ name: 'fridge_opens' }] } });
  await client.acquire([{ name: 'fridge_opens', manual: false }]);
  expect(await client.increment([item])).toMatchObject({ status: 200 });
});

test('with-values shows the attributes asked for, day by day, null without data', async () => {
  const { client } = await setupWithFridge();
  await client.acquire([{ template: 'water', manual: false }]);
  await client.update([{ name: 'fridge_opens', date: YESTERDAY, value: 4 }]);
  const outcome = await client.withValues({
    attributes: ['fridge_opens', 'unicorns'],
    days: 3,
    dateMax: TODAY,
  });
  expect(outcome).toMatchObject({
    status: 200,
    body: {
      nextPage: null,
      results: [
        {
          name: 'fridge_opens',
          values: [
            { date: TODAY, value: null },
            { date: YESTERDAY, value: 4 },
            { date: '2026-07-31', value: null },
          ],
        },
      ],
    },
  });
});

test('with-values refuses more than 31 days, odd dates and odd limits', async () => {
  const { send } = await setup();
  for (const query of ['days=32', 'days=0', 'days=x', 'date_max=yesterday', 'limit=101', 'page=0']) {
    expect((await send('GET', `${PATH}/with-values/?${query}`)).status, query).toBe(400);
  }
});

test('values shows the days of one attribute', async () => {
  const { client } = await setupWithFridge();
  await client.update([{ name: 'fridge_opens', date: '2026-07-30' as LocalDate, value: 4 }]);
  expect(await client.values({ attribute: 'fridge_opens', limit: 2, dateMax: TODAY })).toMatchObject({
    body: { results: [{ date: TODAY, value: null }, { date: YESTERDAY }], nextPage: 2 },
  });
  expect(await client.values({ attribute: 'fridge_opens', limit: 2, dateMax: TODAY, page: 2 })).toMatchObject(
    {
      body: { results: [{ date: '2026-07-31' }, { date: '2026-07-30', value: 4 }], nextPage: null },
    },
  );
  expect(await client.values({ attribute: 'unicorns', limit: 2 })).toMatchObject({
    kind: 'unknown',
    status: 404,
  });
});

test('36 objects, no list, no JSON, no objects: 400, and nothing is applied', async () => {
  const { send, sandbox } = await setupWithFridge();
  const item = { name: 'fridge_opens', date: TODAY, value: 1 };
  for (const body of [Array.from({ length: 36 }, () => item), item, '[{', [item, 1]]) {
    const { status } = await send('POST', `${PATH}/increment/`, body);
    expect(status).toBe(400);
  }
  expect(sandbox.state().journal).toEqual([]);
  const most = await send(
    'POST',
    `${PATH}/increment/`,
    Array.from({ length: 35 }, () => item),
  );
  expect(most.status).toBe(200);
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBe(35);
});

test('a body that is not JSON by its header, another method, another path', async () => {
  const { send } = await setup();
  const plain = await send('POST', `${PATH}/update/`, '[]', { 'content-type': 'text/plain' });
  expect(plain.status).toBe(415);
  expect((await send('GET', `${PATH}/update/`)).status).toBe(405);
  expect((await send('GET', '/api/2/nothing/')).status).toBe(404);
  expect((await send('GET', '/elsewhere')).status).toBe(404);
});

test('a body of more than a megabyte is refused with 413', async () => {
  const { send } = await setup();
  expect((await send('POST', `${PATH}/update/`, 'x'.repeat(1_100_000))).status).toBe(413);
});

test('without a token, or with one that is not among those given, 401', async () => {
  const { send, client } = await setup({ tokens: ['token'] });
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
  for (const authorization of ['', 'Bearer', 'Bearer other', 'Token token']) {
    const { status } = await send('GET', '/api/2/accounts/profile/', undefined, { authorization });
    expect(status, authorization).toBe(401);
  }
});

test('the 301st call within an hour is turned away, and the hour rolls on', async () => {
  let now = NOW;
  const { client } = await setup({ clock: () => now, callsPerHour: 3 });
  for (let call = 0; call < 3; call += 1) {
    expect(await client.profile()).toMatchObject({ kind: 'answered' });
    now += 60_000;
  }
  expect(await client.profile()).toMatchObject({ kind: 'not-sent', cause: 'rate-limited' });
  now = NOW + 3_600_000;
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
  expect(await client.profile()).toMatchObject({ kind: 'not-sent', cause: 'rate-limited' });
});

test('by default the hour has 300 calls', async () => {
  const { sandbox, send } = await setup();
  for (let call = 0; call < 300; call += 1) await send('GET', '/api/2/accounts/profile/');
  expect((await send('GET', '/api/2/accounts/profile/')).status).toBe(429);
  expect(sandbox.state().calls).toHaveLength(50);
});
