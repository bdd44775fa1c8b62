/** Whom the daemon leaves the undecidable to: somebody who looks at `mqtt2exist held` now and then, and settles it. */
import { request } from 'undici';
import type { Status } from '../../src/core/status.ts';
import { ZERO, fromUnits, toUnits } from '../../src/core/units.ts';
import { openReadOnly } from '../../src/ledger/explanation.ts';
import { eventually, type Daemon } from '../support/daemon.ts';
import type { House } from './house.ts';

const PATIENCE_MS = 30_000;

type Held = Status['held'][number];

export class Person {
  /** What was held and how it was settled, to be told with the books. */
  readonly settled: string[] = [];

  constructor(private readonly house: House) {}

  /** Comes when no device has anything to say, and what was late has come. */
  async visit(daemon: Daemon): Promise<void> {
    const { devices, sandbox } = this.house;
    const isQuiet = await eventually(
      () => Promise.resolve(devices.map(({ unacknowledged }) => unacknowledged)),
      (all) => all.every((count) => count === 0),
      PATIENCE_MS,
    ).then(
      () => true,
      () => false,
    );
    if (!isQuiet) return;
    sandbox.applyLate();
    const { held, held_attributes: attributes } = await daemon.status();
    for (const { attribute, reason } of attributes) {
      await this.settle(daemon, { attribute, day: null, how: 'retry' }, reason);
    }
    for (const item of held) await this.settle(daemon, this.decide(item), `${item.state}: ${item.reason}`);
  }

  /** Of a sum, the person looks what the devices counted and writes that; what was refused goes once more. */
  private decide({ attribute, day, state }: Held): object {
    const reader = openReadOnly(this.house.dataDir);
    const { ledger } = reader.explain(attribute, day);
    reader.close();
    if (state === 'refused' || ledger?.kind !== 'sum') return { attribute, day, how: 'retry' };
    const before = this.house.before.get(attribute)?.get(day) ?? 0;
    const total = toUnits(before + Number(ledger.total)) ?? ZERO;
    return { attribute, day, how: 'set', total: fromUnits(total) };
  }

  private async settle(daemon: Daemon, settlement: object, reason: string): Promise<void> {
    const response = await request(`${daemon.webUrl}/api/held`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-mqtt2exist': '1' },
      body: JSON.stringify(settlement),
    });
    const answer = await response.body.text();
    const how = response.statusCode === 200 ? '' : ` (refused: ${answer})`;
    this.settled.push(`${JSON.stringify(settlement)}${how}; ${reason}`);
  }
}
