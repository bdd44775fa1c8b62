/** The package declares the types of its main file only. */
declare module 'aedes-persistence/abstract.js' {
  /** What these tests use of node:test's context. */
  export interface Context {
    plan(count: number): void;
    diagnostic(text: string): void;
    readonly assert: object;
  }

  export default function abstractTests(options: {
    readonly test: (name: string, run: (t: Context) => Promise<void>) => void;
    readonly persistence: () => unknown;
    readonly testAsync: true;
  }): void;
}
