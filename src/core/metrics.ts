/** Figures as Prometheus knows them. */
export interface MetricFamily {
  /** `mqtt2exist_…`, with its unit last. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly {
    readonly labels?: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}
