/** What the sandbox saw: calls by path and outcome. From its log, since its state tells the last fifty only. */

const CALL =
  /^(?<method>GET|POST) (?<path>\S+) (?<items>.*?)→ (?<outcome>.*?)(?: \(fault: (?<fault>\S+)\))?$/;
const MOST_LINES = 3_000;

export class Tally {
  calls = 0;
  /** Increments and updates. */
  writes = 0;
  /** Calls by path, and how often which fault struck there. */
  readonly byPath = new Map<string, Map<string, number>>();
  private readonly lines: string[] = [];

  take(line: string): void {
    const { path = '', fault = 'well' } = CALL.exec(line)?.groups ?? {};
    this.calls += 1;
    if (/\/(increment|update)\/$/.test(path)) this.writes += 1;
    const name = path.replace('/api/2/', '');
    const faults = this.byPath.get(name) ?? new Map<string, number>();
    this.byPath.set(name, faults.set(fault, (faults.get(fault) ?? 0) + 1));
    this.lines.push(`${new Date().toISOString()}  ${line}`);
    if (this.lines.length > 2 * MOST_LINES) this.lines.splice(0, MOST_LINES);
  }

  /** The last ones, the oldest first. */
  last(count: number): readonly string[] {
    return this.lines.slice(-count);
  }

  /** `increment/ 512: 190 failed (lose 31, …)`, one for each path. */
  describe(): string[] {
    return [...this.byPath].map(([path, faults]) => {
      const all = [...faults.values()].reduce((sum, count) => sum + count, 0);
      const failed = [...faults].filter(([fault]) => fault !== 'well').sort((a, b) => b[1] - a[1]);
      const kinds = failed.map(([fault, count]) => `${fault} ${count}`).join(', ');
      return `${path} ${all}: ${all - (faults.get('well') ?? 0)} with a fault${kinds === '' ? '' : ` (${kinds})`}`;
    });
  }
}
