/**
 * Who is connected, and over which connection.
 */
import type { Client } from 'aedes';
import type { Connection } from './connections.ts';

export class Roster {
  private readonly connections = new WeakMap<object, Connection>();
  private readonly clients = new WeakMap<Connection, Client>();
  /** Those whose CONNECT was accepted. */
  private readonly welcome = new Map<string, Client>();

  get count(): number {
    return this.welcome.size;
  }

  pair(client: Client, connection: Connection): void {
    this.connections.set(client, connection);
    this.clients.set(connection, client);
  }

  /** Of a client as aedes hands it over. */
  connectionOf(client: object): Connection | undefined {
    return this.connections.get(client);
  }

  join(client: Client): void {
    this.welcome.set(client.id, client);
  }

  leave(client: Client): void {
    if (this.welcome.get(client.id) === client) this.welcome.delete(client.id);
  }

  closed(connection: Connection): void {
    const client = this.clients.get(connection);
    if (client) this.leave(client);
  }

  isConnected(clientId: string): boolean {
    return this.welcome.has(clientId);
  }

  /** Whose client this is; `undefined` where it is anonymous or gone. */
  accountOf(clientId: string): string | undefined {
    const client = this.welcome.get(clientId);
    return client && this.connectionOf(client)?.guest?.account;
  }
}
