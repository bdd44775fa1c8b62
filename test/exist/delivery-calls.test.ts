import { afterEach, expect, test } from 'vitest';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer, Request } from '../../src/core/delivery/request.ts';
import type { LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { DeliveryCalls } from '../../src/exist/delivery-calls.ts';
import { clientOf, rawServer, response, type RawServer } from './raw-server.ts';

let server: RawServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** Makes one call that is answered with `body`, and gives what was sent as well. */
async function exchange(
  request: Request,
  body: unknown,
): Promise<{ outcome: Outcome<Answer>; path: string; sent: unknown }> {
  server = await rawServer((socket) => void socket.end(response('200 OK', JSON.stringify(body))));
  const outcome = await new DeliveryCalls(clientOf(server.url)).call(request);
  const [head = '', sent = ''] = server.received[0]?.split('\r\n\r\n') ?? [];
  return { outcome, path: head.split(' ')[1] ?? '', sent: sent === '' ? undefined : JSON.parse(sent) };
}

function bodyOf(outcome: Outcome<Answer>): Answer {
  if (outcome.kind !== 'answered') throw new Error(outcome.message);
  return outcome.body;
}

const day = '2026-08-02' as LocalDate;
const dayBefore = '2026-08-01' as LocalDate;

const attribute = {
  template: null,
  name: 'fridge_opens',
  label: 'Fridge opens',
  group: { name: 'food', label: 'Food and drink', priority: 8 },
  service: { name: 'bridge', label: 'Bridge' },
  active: true,
  priority: 1,
  manual: false,
  value_type: 0,
  value_type_description: 'Integer',
  available_services: [],
};

test('amounts leave as the numbers they are, and totals come back as amounts', async () => {
  const { outcome, path, sent } = await exchange(
    {
      kind: 'increment',
      items: [
        { attribute: 'fridge', name: 'fridge_opens', day, value: 3_000_000 as Units },
        { attribute: 'water', name: 'water_l', day, value: 100_000 as Units },
      ],
    },
    {
      success: [
        { name: 'fridge_opens', value: 3, current: 8 },
        { name: 'water_l', date: day, value: 0.1, current: 0.1 + 0.2 },
      ],
      failed: [],
    },
  );
  expect(path).toBe('/api/2/attributes/increment/');
  expect(sent).toEqual([
    { name: 'fridge_opens', date: day, value: 3 },
    { name: 'water_l', date: day, value: 0.1 },
  ]);
  expect(bodyOf(outcome)).toEqual({
    kind: 'written',
    success: [
      { name: 'fridge_opens', day: undefined, current: 8_000_000 },
      { name: 'water_l', day, current: 300_000 },
    ],
    failed: [],
  });
});

test('text is updated as text, and failures keep the words of Exist', async () => {
  const { outcome, sent } = await exchange(
    { kind: 'update', items: [{ attribute: 'note', name: 'mood_note', day, value: 'fine' }] },
    {
      success: [],
      failed: [
        { name: 'mood_note', date: day, value: 'fine', error_code: 'validation', error: 'No good' },
        { error_code: 42 },
      ],
    },
  );
  expect(sent).toEqual([{ name: 'mood_note', date: day, value: 'fine' }]);
  expect(bodyOf(outcome)).toMatchObject({
    failed: [
      { name: 'mood_note', day, code: 'validation', message: 'No good' },
      { name: undefined, day: undefined, code: 'unknown', message: '' },
    ],
  });
});

test('a total or date that cannot be read is as good as none', async () => {
  const { outcome } = await exchange(
    { kind: 'increment', items: [{ attribute: 'a', name: 'a', day, value: 1_000_000 as Units }] },
    { success: [{ name: 'a', date: 'today', current: 'many' }], failed: [] },
  );
  expect(bodyOf(outcome)).toMatchObject({ success: [{ name: 'a', day: undefined, current: undefined }] });
});

test('attributes are acquired by template or name, never open to manual values', async () => {
  const { outcome, path, sent } = await exchange(
    {
      kind: 'acquire',
      items: [
        { attribute: 'water', by: 'template', name: 'water' },
        { attribute: 'mine', by: 'name', name: 'mine' },
        { attribute: 'lost', by: 'name', name: 'lost' },
      ],
    },
    {
      success: [{ ...attribute, name: 'water', template: 'water', label: 'Water' }],
      failed: [{ name: 'mine', error_code: 'not_found', error: 'no such thing' }],
    },
  );
  expect(path).toBe('/api/2/attributes/acquire/?success_objects=1');
  expect(sent).toEqual([
    { template: 'water', manual: false },
    { name: 'mine', manual: false },
    { name: 'lost', manual: false },
  ]);
  expect(bodyOf(outcome)).toEqual({
    kind: 'ownership',
    results: [
      { seen: { name: 'water', label: 'Water', template: 'water', valueType: 'integer', manual: false } },
      { failure: { code: 'not_found', message: 'no such thing' } },
      null,
    ],
  });
});

test('a created attribute is known by its label; its name is what Exist says', async () => {
  const { outcome, sent } = await exchange(
    {
      kind: 'create',
      items: [{ attribute: 'fridge', label: 'Fridge opens', group: 'food', valueType: 'minutes' }],
    },
    { success: [{ ...attribute, name: 'fridge_opens_2', value_type: 3 }], failed: [] },
  );
  expect(sent).toEqual([{ label: 'Fridge opens', group: 'food', value_type: 3, manual: false }]);
  expect(bodyOf(outcome)).toMatchObject({
    results: [{ seen: { name: 'fridge_opens_2', valueType: 'minutes' } }],
  });
});

test('an item both in success and in failed is in neither', async () => {
  const { outcome } = await exchange(
    {
      kind: 'create',
      items: [{ attribute: 'fridge', label: 'Fridge opens', group: 'food', valueType: 'integer' }],
    },
    { success: [attribute], failed: [{ label: 'Fridge opens', error_code: 'exists', error: '' }] },
  );
  expect(bodyOf(outcome)).toEqual({ kind: 'ownership', results: [null] });
});

test('owned attributes come page by page, with a type of the future as none', async () => {
  const { outcome, path } = await exchange(
    { kind: 'owned', page: 2 },
    { count: 250, next: 'https://exist.io/api/2/x/?page=1', results: [{ ...attribute, value_type: 99 }] },
  );
  expect(path).toBe('/api/2/attributes/owned/?limit=100&page=2');
  // Never back to page 1, whatever `next` says.
  expect(bodyOf(outcome)).toMatchObject({ nextPage: 3, attributes: [{ valueType: undefined }] });
});

test('the account’s zone is taken only where this machine knows it', async () => {
  const known = await exchange({ kind: 'profile' }, { username: 'me', timezone: 'Europe/Berlin' });
  expect(bodyOf(known.outcome)).toEqual({ kind: 'profile', timezone: 'Europe/Berlin' });
  await server?.close();
  const odd = await exchange({ kind: 'profile' }, { username: 'me', timezone: 'Mars/Olympus_Mons' });
  expect(odd.outcome.kind).toBe('unknown');
});

const read: Request = {
  kind: 'read',
  items: [
    { attribute: 'fridge', name: 'fridge_opens', day },
    { attribute: 'fridge', name: 'fridge_opens', day: dayBefore },
    { attribute: 'note', name: 'mood_note', day },
  ],
  days: 2,
  dateMax: day,
};

test('values are read for all attributes and days at once; a day without data is null', async () => {
  const { outcome, path } = await exchange(read, {
    next: null,
    results: [
      {
        name: 'fridge_opens',
        values: [
          { date: day, value: 5 },
          { date: dayBefore, value: null },
        ],
      },
      { name: 'mood_note', values: [{ date: day, value: 'fine' }] },
    ],
  });
  expect(path).toBe(
    '/api/2/attributes/with-values/?attributes=fridge_opens%2Cmood_note&days=2&date_max=2026-08-02&limit=100',
  );
  expect(bodyOf(outcome)).toEqual({
    kind: 'read',
    values: new Map([
      [
        'fridge_opens',
        new Map<string, unknown>([
          [day, 5_000_000],
          [dayBefore, null],
        ]),
      ],
      ['mood_note', new Map([[day, 'fine']])],
    ]),
  });
});

test('a number too large to calculate with is shown as text', async () => {
  const { outcome } = await exchange(read, {
    results: [{ name: 'fridge_opens', values: [{ date: day, value: 1e300 }] }],
  });
  expect(bodyOf(outcome)).toMatchObject({ values: new Map([['fridge_opens', new Map([[day, '1e+300']])]]) });
});

test('values that go on on another page are not taken for missing', async () => {
  const { outcome } = await exchange(read, {
    next: 'https://exist.io/api/2/attributes/with-values/?page=2',
    results: [{ name: 'fridge_opens', values: [{ date: day, value: 5 }] }],
  });
  expect(outcome.kind).toBe('unknown');
});
