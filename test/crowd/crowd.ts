/** Starts the crowd, and the broker that it comes to. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { hashPassword, RANDOM_PASSWORD } from '../../src/accounts/password-hash.ts';
import type { Victim } from './misbehaviour.ts';

/** Everything the crowd may publish is counted: its readings go to disk, too. */
export const CROWD_YAML = `attributes:
  crowd: { label: Crowd, type: integer }
  honest: { label: Honest, type: integer }
mappings:
  - { topic: "crowd/#", attribute: crowd, count: { each: any } }
  - { topic: honest, attribute: honest, count: { each: any } }
`;

/** More of the section `broker`: a sensor's account and one that was let in, and then went mad. */
export async function crowdAccounts(): Promise<string> {
  const hash = async (password: string): Promise<string> => hashPassword(password, RANDOM_PASSWORD);
  return `, users: {
    sensor: { password_hash: "${await hash('sensor')}", publish: honest },
    mad: { password_hash: "${await hash('mad')}", publish: "crowd/#", subscribe: "crowd/#" } }`;
}

export interface Crowd {
  /** Resolves with how often each of its ways was tried. */
  goHome(): Promise<readonly string[]>;
}

export async function gather({ port, username, password }: Victim, size: number): Promise<Crowd> {
  const args = [
    '--port',
    String(port),
    '--username',
    username,
    '--password',
    password,
    '--size',
    String(size),
  ];
  const child = spawn(process.execPath, ['test/run.mjs', 'test/crowd/main.ts', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const told: string[] = [];
  lines.on('line', (line) => told.push(line));
  await once(lines, 'line');
  return {
    goHome: async () => {
      const ended = once(child, 'close');
      child.kill('SIGTERM');
      await ended;
      return told.slice(1);
    },
  };
}
