/** An account as the configuration or the file of devices has it. */
import type { Account } from './authenticator.ts';

export interface ListedAccount extends Account {
  /** It is told of where nothing is published with it for longer. */
  readonly silentAfterMs: number | undefined;
}
