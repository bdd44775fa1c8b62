/** Answers of Exist that are none: through the real client into the delivery's state machine. */
import type { Socket } from 'node:net';
import type { Decision } from '../../src/core/delivery/draft.ts';
import type { Request } from '../../src/core/delivery/request.ts';
import {
  keyOf,
  newAccount,
  newSumKey,
  type Account,
  type DeliveryState,
  type Settings,
} from '../../src/core/delivery/state.ts';
import { step } from '../../src/core/delivery/step.ts';
import type { EpochMs, LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { DeliveryCalls } from '../../src/exist/delivery-calls.ts';
import { ExistClient } from '../../src/exist/exist-client.ts';
import { readyAttribute } from '../core/delivery/bench.ts';
import { rawServer } from '../exist/raw-server.ts';
import type { Random } from '../simulation/random.ts';
import { mutate, pick, type Kind, type Target } from './kind.ts';

const DAY = '2026-11-24' as LocalDate;
const NOW = Date.parse('2026-11-24T12:00:00Z') as EpochMs;
const TIMEOUT_MS = 300;
const SETTINGS: Settings = {
  settleMs: 90_000,
  callsPerHour: 300,
  flushEveryMs: 0,
  lingerMs: 0,
  batch: 35,
  timezone: 'UTC',
};

const ITEM = { attribute: 'water', name: 'water', day: DAY };
const CALLS: readonly (readonly [Request, unknown])[] = [
  [{ kind: 'profile' }, { username: 'me', timezone: 'Europe/Berlin', local_time: '2026-11-24T13:00:00' }],
  [
    { kind: 'owned', page: 1 },
    {
      count: 1,
      next: null,
      previous: null,
      results: [
        {
          name: 'water',
          label: 'Water',
          template: null,
          group: { name: 'food' },
          value_type: 1,
          manual: false,
        },
      ],
    },
  ],
  [
    { kind: 'read', items: [ITEM], days: 1, dateMax: DAY },
    { count: 1, next: null, results: [{ name: 'water', values: [{ date: DAY, value: 12.5 }] }] },
  ],
  [
    { kind: 'increment', items: [{ ...ITEM, value: 3_000_000 as Units }] },
    { success: [{ name: 'water', value: 3, current: 15.5, date: DAY }], failed: [] },
  ],
  [
    { kind: 'update', items: [{ ...ITEM, value: 3_000_000 as Units }] },
    {
      success: [{ name: 'water', value: 3, date: DAY }],
      failed: [{ name: 'x', error_code: 'unauthorised', error: 'no' }],
    },
  ],
];
const STATUSES = [
  '200 OK',
  '200 OK',
  '200 OK',
  '202 Accepted',
  '201 Created',
  '204 No Content',
  '302 Found',
  '401 no',
  '403 no',
  '404 no',
  '429 slow',
  '500 oops',
  '502 bad',
  '599 ?',
  '999 x',
  'abc',
];
const ODD_JSON = [
  'null',
  '[]',
  '{}',
  '"x"',
  '1e999',
  '-0',
  '{"success":{}}',
  '{"__proto__":{"x":1}}',
  '{"results":[null]}',
  '[[[[[[',
  '',
];
const HEADERS = [
  'retry-after: 5',
  'retry-after: x',
  'date: yesterday',
  'date: Tue, 24 Nov 2026 12:00:00 GMT',
  'content-encoding: gzip',
  'transfer-encoding: chunked',
  'content-type: text/html',
  'age: 12',
  'x: \u0000',
];

export const http: Kind = {
  name: 'http',
  atATime: 20,
  async open(): Promise<Target> {
    const answers = new Map<string, (socket: Socket) => void>();
    const server = await rawServer((socket, request) => {
      const id = /^\w+ \/(\d+)\//.exec(request)?.[1] ?? '';
      answers.get(id)?.(socket);
      answers.delete(id);
    });
    let lastId = 0;
    return {
      attack: async (random) => {
        lastId += 1;
        const id = String(lastId);
        const [request, valid] = pick(CALLS, random);
        answers.set(id, (socket) => answer(socket, valid, random));
        const client = new ExistClient({
          url: `${server.url}/${id}`,
          token: () => 'token',
          timeoutMs: TIMEOUT_MS,
          maxBodyBytes: 100_000,
          userAgent: 'fuzz',
        });
        try {
          const outcome = await new DeliveryCalls(client).call(request);
          digest(request, outcome);
          return undefined;
        } catch (error) {
          return `${request.kind}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
        } finally {
          answers.delete(id);
        }
      },
      check: () => Promise.resolve(undefined),
      memory: () => process.memoryUsage().rss,
      close: () => server.close(),
    };
  },
};

function answer(socket: Socket, valid: unknown, random: Random): void {
  const json = random.chance(0.2) ? pick(ODD_JSON, random) : JSON.stringify(valid);
  const body = random.chance(0.6) ? mutate(Buffer.from(json), random) : Buffer.from(json);
  const large = random.chance(0.02) ? Buffer.alloc(200_000, 0x20) : Buffer.alloc(0);
  const length = random.chance(0.15) ? random.whole(0, 2 * body.length + 1) : body.length + large.length;
  const headers = HEADERS.filter(() => random.chance(0.08));
  const head = [`HTTP/1.1 ${pick(STATUSES, random)}`, `content-length: ${length}`, ...headers].join('\r\n');
  const whole = Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), body, large]);
  const bytes = random.chance(0.15) ? mutate(whole, random) : whole;
  if (random.chance(0.03)) socket.destroy();
  else socket.end(bytes);
}

/** Lets a delivery that made the call take its outcome; it may make of it what it likes, but not fall. */
function digest(request: Request, outcome: Parameters<typeof event>[0]): void {
  const attribute = readyAttribute('water');
  const account: Account = {
    ...newAccount(),
    ownedPage: null,
    lastCallId: 1,
    call: { id: 1, startedAt: NOW, request },
  };
  const amount = 3_000_000 as Units;
  const key = {
    ...newSumKey('water', DAY, amount, NOW),
    base: 0 as Units,
    flight: 'sending' as const,
    flightSince: NOW,
    flightAmount: amount,
  };
  const state: DeliveryState = {
    account,
    attributes: new Map([['water', attribute]]),
    keys: new Map([[keyOf('water', DAY), key]]),
  };
  const decision: Decision = step(state, event(outcome), { settings: SETTINGS, now: NOW, random: 0.5 });
  for (const changed of decision.keys) {
    if (changed.kind === 'sum' && !Number.isSafeInteger(changed.ours))
      throw new Error(`booked ${changed.ours}`);
  }
}

function event(outcome: Awaited<ReturnType<DeliveryCalls['call']>>) {
  return { type: 'answered', callId: 1, outcome } as const;
}
