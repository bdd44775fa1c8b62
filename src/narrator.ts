/**
 * Says in the log what happens: a line when something begins to fail, a line when it works again, a line for
 * every flush, never a line for every message.
 *
 * It remembers only what it said last, so that nothing is said twice.
 */
import type { CallRecord } from './core/delivery/draft.ts';
import { isWrite } from './core/delivery/request.ts';
import type { Account } from './core/delivery/state.ts';
import { Seldom } from './core/seldom.ts';
import { HOUR_MS } from './core/time.ts';
import { formatUnits } from './core/units.ts';

export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

type ExistState = 'starting' | 'ok' | 'paused' | 'held';

export class Narrator {
  private readonly warnings: Seldom;
  private existState: ExistState = 'starting';
  private storing = true;

  constructor(
    private readonly log: Log,
    monotonicMs: () => number,
  ) {
    this.warnings = new Seldom(HOUR_MS, monotonicMs);
  }

  /** Whether readings are being stored, as far as was told. */
  get isStoring(): boolean {
    return this.storing;
  }

  /** A warning an hour for each topic: a broken sensor must not fill the log. */
  refused(topic: string, reason: string, payload: string): void {
    this.log(this.warnings.isDue(topic) ? 'warn' : 'debug', 'a reading was refused', {
      topic,
      reason,
      payload,
    });
  }

  unstored(error: unknown): void {
    if (!this.storing) return;
    this.storing = false;
    this.log('error', 'readings cannot be stored and are not acknowledged; devices send them again', {
      reason: error instanceof Error ? error.message : String(error),
    });
  }

  stored(): void {
    if (this.storing) return;
    this.storing = true;
    this.log('info', 'readings are stored again');
  }

  /** Messages of a boot that never knew the time were dated. */
  estimated(messages: number): void {
    this.log(
      'warn',
      `${messages} readings came before the machine was started anew and without knowing the time: they count as late as they can have come`,
    );
  }

  call({ request, outcome, detail }: CallRecord): void {
    if (!isWrite(request)) {
      this.log('debug', `asked Exist: ${request.kind}`, { outcome, detail });
      return;
    }
    const items = request.items.map(({ attribute, day, value }) => {
      const amount = typeof value === 'string' ? JSON.stringify(value) : formatUnits(value);
      return `${attribute} ${request.kind === 'increment' ? `+${amount}` : `= ${amount}`} (${day})`;
    });
    if (outcome === 'answered') this.log('info', `Exist took ${items.join(', ')}`);
    else
      this.log('warn', `${outcome === 'not-sent' ? 'not sent' : 'outcome unknown'}: ${items.join(', ')}`, {
        detail,
      });
  }

  /** One line when Exist goes away and one when it is back. */
  exist(account: Account): void {
    const state = existStateOf(account);
    if (state === this.existState) return;
    const rest = account.hold ?? account.pause;
    if (state === 'held' && rest) {
      const held = 'Exist does not let us in; counts are kept';
      this.log('error', held, { reason: rest.message, next_try: new Date(rest.until).toISOString() });
    } else if (state === 'paused' && rest) {
      this.log('warn', 'Exist does not answer as it should; counts are kept', { reason: rest.message });
    } else if (state === 'ok') {
      this.log('info', this.existState === 'starting' ? 'connected to Exist' : 'Exist answers again');
    }
    this.existState = state;
  }
}

function existStateOf({ hold, pause, failures, lastSuccessAt }: Account): ExistState {
  if (hold) return 'held';
  if (pause && failures > 0) return 'paused';
  return lastSuccessAt === null ? 'starting' : 'ok';
}
