/** Exit codes after sysexits.h: what a supervisor or a script may rely on. */
export const EXIT = {
  done: 0,
  usage: 64,
  /** A port is taken, the daemon does not answer. */
  unavailable: 69,
  internal: 70,
  /** The database cannot be used. */
  database: 74,
  configuration: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
