import { expect, test } from 'vitest';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { FaultInput } from '../../src/sandbox/faults.ts';
import { TODAY, YESTERDAY, setup, setupWithFridge, valueOf, type Setup } from './setup.ts';

const item = { name: 'fridge_opens', date: TODAY, value: 1 };
const increments = { path: 'increment' };

/** One increment of 1 under a fault, and how often it was applied. */
async function incrementUnder(
  fault: FaultInput['fault'],
  timeoutMs = 5_000,
): Promise<Setup & { outcome: Outcome<unknown>; applied: number }> {
  const all = await setupWithFridge({}, { timeoutMs });
  all.sandbox.faults([{ match: increments, fault }]);
  const outcome = await all.client.increment([item]);
  return { ...all, outcome, applied: all.sandbox.state().journal.length };
}

test.each<[FaultInput['fault'], string, number]>([
  ['lose', 'unknown', 0],
  ['apply-then-lose', 'unknown', 1],
  ['apply-half-then-lose', 'unknown', 0],
  ['apply-twice', 'answered', 2],
  ['no-date', 'answered', 1],
  ['echo-date', 'answered', 1],
  ['missing-item', 'missing-item', 1],
  ['drop-ownership', 'answered', 0],
  ['expire-token', 'not-sent', 0],
  ['broken-json', 'unknown', 1],
  ['cut-body', 'unknown', 1],
  ['html', 'unknown', 0],
  ['oversized', 'unknown', 1],
  [{ kind: 'broken-json', applied: false }, 'unknown', 0],
  [{ kind: 'cut-body', applied: false }, 'unknown', 0],
  [{ kind: 'html', applied: true }, 'unknown', 1],
  [{ kind: 'oversized', applied: false }, 'unknown', 0],
  [{ kind: 'status', status: 500 }, 'unknown', 0],
  [{ kind: 'status', status: 502, applied: true }, 'unknown', 1],
  [{ kind: 'status', status: 302, headers: { location: 'http://127.0.0.1:1/' } }, 'unknown', 0],
  [{ kind: 'status', status: 400 }, 'unknown', 0],
  [{ kind: 'status', status: 401 }, 'not-sent', 0],
  [{ kind: 'status', status: 403 }, 'not-sent', 0],
  [{ kind: 'status', status: 429, headers: { 'retry-after': '7' } }, 'not-sent', 0],
])('under %j the client sees %s and %i are applied', async (fault, kind, applied) => {
  const seen = await incrementUnder(fault);
  expect(seen.applied).toBe(applied);
  if (kind === 'missing-item') {
    expect(seen.outcome).toMatchObject({ kind: 'answered', body: { success: [], failed: [] } });
  } else {
    expect(seen.outcome.kind).toBe(kind);
  }
  // Once only: the next call is as if nothing had been.
  expect(seen.sandbox.faults()).toEqual([]);
  expect((await seen.client.profile()).kind).toBe('answered');
});

test.each<[FaultInput['fault'], number]>([
  ['timeout', 0],
  ['apply-then-timeout', 1],
])('under %s the client waits until its own time-out', async (fault, applied) => {
  const seen = await incrementUnder(fault, 100);
  expect(seen.outcome).toMatchObject({ kind: 'unknown' });
  expect(seen.applied).toBe(applied);
});

test('a fault without parameters that has defaults may be written as a word', async () => {
  const { sandbox } = await setup();
  expect(sandbox.faults([{ fault: 'missing-item' }, { fault: 'oversized' }])).toMatchObject([
    { fault: { kind: 'missing-item', index: 0 } },
    { fault: { kind: 'oversized', bytes: 8_388_608 } },
  ]);
});

test('a retry-after header of a fault reaches the client', async () => {
  const { outcome } = await incrementUnder({ kind: 'status', status: 429, headers: { 'retry-after': '7' } });
  expect(outcome).toMatchObject({ cause: 'rate-limited', retryAfterMs: 7_000 });
});

test('apply-half-then-lose applies the first half', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([{ fault: 'apply-half-then-lose' }]);
  await client.increment([1, 2, 3, 4, 5].map((value) => ({ ...item, value })));
  expect(sandbox.state().journal.map(({ value }) => value)).toEqual([1, 2]);
});

test('apply-late applies after the caller was told nothing', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([{ fault: { kind: 'apply-late', delayMs: 3_600_000 } }]);
  expect(await client.increment([item])).toMatchObject({ kind: 'unknown' });
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBeUndefined();
  sandbox.applyLate();
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBe(1);
  sandbox.applyLate();
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBe(1);
});

test('apply-late applies by itself when its time has come, and at the latest at the stop', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([
    { fault: { kind: 'apply-late', delayMs: 0 } },
    { fault: { kind: 'apply-late', delayMs: 3_600_000 } },
  ]);
  await client.increment([item]);
  await expect.poll(() => valueOf(sandbox, 'fridge_opens', TODAY)).toBe(1);
  await client.increment([item]);
  await sandbox.stop();
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBe(2);
});

test('echo-date and no-date change what the answer tells', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([
    { match: { path: 'increment' }, fault: 'echo-date' },
    { match: { path: 'update' }, fault: 'no-date' },
  ]);
  expect(await client.increment([item])).toMatchObject({ body: { success: [{ date: TODAY }] } });
  const updated = await client.update([item]);
  expect(updated.kind === 'answered' && updated.body.success[0]).toEqual({ name: 'fridge_opens' });
});

test('missing-item leaves out the item counted through both lists', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([{ fault: { kind: 'missing-item', index: 1 } }]);
  const outcome = await client.increment([item, { ...item, name: 'unicorns' }]);
  expect(outcome).toMatchObject({
    status: 202,
    body: { success: [{ name: 'fridge_opens' }], failed: [] },
  });
});

test('stale-read shows each value as it stood before its last change', async () => {
  const { client, sandbox } = await setupWithFridge();
  await client.increment([item, { ...item, date: YESTERDAY }]);
  await client.increment([item]);
  sandbox.faults([{ fault: 'stale-read' }]);
  const read = (): ReturnType<typeof client.withValues> =>
    client.withValues({ attributes: ['fridge_opens'], days: 2, dateMax: TODAY });
  expect(await read()).toMatchObject({ body: { results: [{ values: [{ value: 1 }, { value: null }] }] } });
  expect(await read()).toMatchObject({ body: { results: [{ values: [{ value: 2 }, { value: 1 }] }] } });
});

test('missing-item leaves an attribute out of a list, too', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([{ fault: 'missing-item' }]);
  expect(await client.owned()).toMatchObject({ body: { results: [] } });
  expect(await client.owned()).toMatchObject({ body: { results: [{ name: 'fridge_opens' }] } });
});

test('drop-ownership lasts until it is acquired again', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([{ fault: 'drop-ownership' }]);
  for (let call = 0; call < 2; call += 1) {
    expect(await client.increment([item])).toMatchObject({
      body: { failed: [{ error_code: 'unauthorised' }] },
    });
  }
  await client.acquire([{ name: 'fridge_opens', manual: false }]);
  expect(await client.increment([item])).toMatchObject({ status: 200 });
});

test('a fault befalls only calls that match, as often as it says, in the order they were set', async () => {
  const { client, sandbox } = await setupWithFridge();
  sandbox.faults([
    { match: { method: 'post', path: 'increment' }, times: 2, fault: { kind: 'status', status: 500 } },
    { match: { path: 'increment' }, fault: { kind: 'status', status: 501 } },
    { match: { method: 'GET' }, times: -1, fault: { kind: 'status', status: 502 } },
  ]);
  expect(await client.update([item])).toMatchObject({ kind: 'answered' });
  for (const status of [500, 500, 501]) expect(await client.increment([item])).toMatchObject({ status });
  expect(await client.increment([item])).toMatchObject({ kind: 'answered' });
  for (let call = 0; call < 3; call += 1) expect(await client.profile()).toMatchObject({ status: 502 });
  expect(sandbox.faults()).toHaveLength(1);
  sandbox.clearFaults();
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
});

test('chance is the same for the same seed, and about as often as it says', async () => {
  const run = async (seed: number): Promise<string> => {
    const { client, sandbox } = await setup();
    sandbox.faults([{ probability: 0.3, seed, times: -1, fault: { kind: 'status', status: 500 } }]);
    let seen = '';
    for (let call = 0; call < 200; call += 1) {
      seen += (await client.profile()).kind === 'answered' ? '.' : 'x';
    }
    return seen;
  };
  const first = await run(1);
  expect(await run(1)).toBe(first);
  expect(await run(2)).not.toBe(first);
  const struck = first.replaceAll('.', '').length;
  expect(struck).toBeGreaterThan(40);
  expect(struck).toBeLessThan(80);
});

test('faults are set, listed and cleared over HTTP', async () => {
  const { send, client } = await setup();
  const fault = { match: { path: 'profile' }, times: 1, fault: 'lose' };
  expect((await send('POST', '/sandbox/faults', [fault])).status).toBe(200);
  expect((await send('GET', '/sandbox/faults')).json).toMatchObject([
    { match: { path: 'profile' }, times: 1, probability: 1, fault: { kind: 'lose' } },
  ]);
  expect((await send('DELETE', '/sandbox/faults')).json).toEqual([]);
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
});

test('what is no fault is refused with the reason, and nothing is set', async () => {
  const { send, sandbox } = await setup();
  const good = { fault: 'lose' };
  const bad = [
    { fault: 'explode' },
    { fault: { kind: 'status' } },
    { fault: { kind: 'status', status: 99 } },
    { fault: { kind: 'apply-late' } },
    { ...good, probability: 2 },
    { ...good, tines: 3 },
    {},
    1,
  ];
  for (const fault of bad) {
    const { status, json } = await send('POST', '/sandbox/faults', [good, fault]);
    expect(status, JSON.stringify(fault)).toBe(400);
    expect(json).toMatchObject({ error: expect.stringContaining('1') as string });
  }
  expect((await send('POST', '/sandbox/faults', '{')).status).toBe(400);
  expect((await send('POST', '/sandbox/faults', {})).status).toBe(400);
  expect(sandbox.faults()).toEqual([]);
  expect(() => sandbox.faults([{ fault: 'lose', probability: 2 }])).toThrow(TypeError);
});

test('a client that goes away in the middle of its request does no harm', async () => {
  const { url, client } = await setup();
  const { connect } = await import('node:net');
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await new Promise<void>((resolve) => {
    socket.write('POST /api/2/attributes/update/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[', () => {
      socket.on('close', () => resolve()).resetAndDestroy();
    });
  });
  expect(await client.profile()).toMatchObject({ kind: 'answered' });
});
