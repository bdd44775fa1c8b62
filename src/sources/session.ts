/**
 * What a broker keeps for us, as far as we know: which session, and what is subscribed in it.
 *
 * A filter is written down before it is asked for and struck out after the broker has let it go, so that what may
 * be subscribed is always known: after a restart with another configuration it is unsubscribed, instead of filling
 * the broker's queue for ever.
 */
import type { SessionRecord, SessionStore } from './ports.ts';

export interface Changes {
  readonly unsubscribe: readonly string[];
  readonly subscribe: readonly string[];
}

export class Session {
  private readonly filters: Map<string, number | null>;
  private id: string | undefined;

  constructor(
    private readonly store: SessionStore,
    private readonly key: string,
    private readonly newSession: () => string,
    /** Under what else the session may have been written down, where it is not known by its own key. */
    private readonly predecessor: () => string | undefined,
  ) {
    const record: SessionRecord | undefined = store.load(key);
    this.id = record?.session;
    this.filters = new Map(Object.entries(record?.filters ?? {}));
  }

  /** Changes with every session that the broker begins anew. */
  get sessionId(): string {
    return this.id ?? '';
  }

  /** The broker has answered our CONNECT. Durable when it returns; throws where that fails. */
  resume(isPresent: boolean): void {
    if (isPresent && (this.id !== undefined || this.goesOn())) return;
    if (!isPresent) this.filters.clear();
    this.id = this.newSession();
    this.save();
  }

  /**
   * What to ask the broker for so that it has `wanted` and nothing else. Durable when it returns.
   * @param again ask for all that is wanted, whatever was granted before
   */
  change(wanted: readonly string[], qos: number, again: boolean): Changes {
    const unsubscribe = [...this.filters.keys()].filter((filter) => !wanted.includes(filter));
    const subscribe = wanted.filter((filter) => again || !this.isGranted(filter, qos));
    const isNew = subscribe.some((filter) => this.filters.get(filter) !== null);
    for (const filter of subscribe) this.filters.set(filter, null);
    if (isNew) this.save();
    return { unsubscribe, subscribe };
  }

  granted(filters: readonly string[], qos: number): void {
    for (const filter of filters) this.filters.set(filter, qos);
    this.save();
  }

  /** Unsubscribed, or never granted. */
  gone(filters: readonly string[]): void {
    for (const filter of filters) this.filters.delete(filter);
    this.save();
  }

  /** Filters that may be subscribed as well. Durable when it returns; throws where that fails. */
  inherit(filters: readonly string[]): void {
    const unknown = filters.filter((filter) => !this.filters.has(filter));
    for (const filter of unknown) this.filters.set(filter, null);
    if (unknown.length > 0) this.save();
  }

  /** The connection is taken out of the configuration. */
  forget(): void {
    this.filters.clear();
    this.store.remove(this.key);
  }

  get subscribed(): readonly string[] {
    return [...this.filters.keys()];
  }

  /** What was written down under another key is ours from now on: marks of what was taken stay good. */
  private goesOn(): boolean {
    const key = this.predecessor();
    const record = key === undefined ? undefined : this.store.load(key);
    if (key === undefined || record === undefined) return false;
    this.id = record.session;
    for (const [filter, qos] of Object.entries(record.filters)) this.filters.set(filter, qos);
    this.save();
    this.store.remove(key);
    return true;
  }

  /** The QoS asked for is what is remembered: a broker that grants less would be asked for ever. */
  private isGranted(filter: string, qos: number): boolean {
    return this.filters.get(filter) === qos;
  }

  private save(): void {
    this.store.save(this.key, { session: this.sessionId, filters: Object.fromEntries(this.filters) });
  }
}
