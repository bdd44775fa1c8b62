/**
 * Whose each client identifier is: nobody takes over a connection or session that belongs to another account.
 *
 * An identifier is owned while a client with it is connected, and as long as its session lasts.
 */

interface Claim {
  readonly account: string | undefined;
  connections: number;
}

export class Owners {
  private readonly claims = new Map<string, Claim>();
  private sweepAt = LEAST_SWEEP;

  constructor(private readonly hasSession: (clientId: string) => boolean) {}

  /** A session that an earlier run of the broker left. */
  restore(clientId: string, account: string | undefined): void {
    this.claims.set(clientId, { account, connections: 0 });
  }

  /** False where the identifier is another account's. Each true one wants a `release`. */
  claim(clientId: string, account: string | undefined): boolean {
    const claim = this.claims.get(clientId);
    if (claim && claim.account !== account && this.isHeld(clientId, claim)) return false;
    if (claim?.account === account && claim) claim.connections += 1;
    else this.claims.set(clientId, { account, connections: 1 });
    if (this.claims.size > this.sweepAt) this.sweep();
    return true;
  }

  /** The connection is closed. */
  release(clientId: string): void {
    const claim = this.claims.get(clientId);
    if (!claim) return;
    claim.connections -= 1;
    if (!this.isHeld(clientId, claim)) this.claims.delete(clientId);
  }

  /** All that own something. */
  accounts(): Set<string | undefined> {
    return new Set(Array.from(this.claims.values(), ({ account }) => account));
  }

  /** What these accounts own. */
  clientIdsOf(accounts: ReadonlySet<string | undefined>): string[] {
    return [...this.claims].flatMap(([clientId, { account }]) => (accounts.has(account) ? [clientId] : []));
  }

  private isHeld(clientId: string, { connections }: Claim): boolean {
    return connections > 0 || this.hasSession(clientId);
  }

  /** Sessions end without telling: their claims are found when there are many. */
  private sweep(): void {
    for (const [clientId, claim] of this.claims) {
      if (!this.isHeld(clientId, claim)) this.claims.delete(clientId);
    }
    this.sweepAt = Math.max(LEAST_SWEEP, 2 * this.claims.size);
  }
}

const LEAST_SWEEP = 1_000;
