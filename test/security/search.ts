/**
 * Finds secrets in whatever is left of them, however they were written down there.
 *
 * Quotes, backslashes and blanks look different in a URL, in JSON, and in JSON within JSON; letters and digits look
 * the same in all of these. So a planted secret has a long run of them in its middle, and the run is looked for: as
 * it is, in hex, and in base64, where it may begin at any of three places of a group of four characters.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The runs to look for, by what they are called; bytes for what is not text. */
export type Secrets = Readonly<Record<string, string | Buffer>>;

/** Everything that was printed, stored or served, by where it was found. */
export class Places {
  private readonly chunks = new Map<string, Buffer[]>();

  add(place: string, content: string | Uint8Array): void {
    const chunks = this.chunks.get(place) ?? [];
    chunks.push(Buffer.from(content));
    this.chunks.set(place, chunks);
  }

  /** All files of a folder and those below it. */
  addFiles(folder: string): void {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = path.join(entry.parentPath, entry.name);
      this.add(path.relative(folder, file), readFileSync(file));
    }
  }

  text(place: string): string {
    return Buffer.concat(this.chunks.get(place) ?? []).toString();
  }

  /** `secret: place` for each that stands there in any form, sorted. */
  whereabouts(secrets: Secrets): string[] {
    const all = [...this.chunks].map(([place, chunks]) => ({ place, content: Buffer.concat(chunks) }));
    return Object.entries(secrets)
      .flatMap(([name, secret]) => {
        const forms = formsOf(secret);
        const found = all.filter(({ content }) => forms.some((form) => content.includes(form)));
        return found.map(({ place }) => `${name}: ${place}`);
      })
      .sort();
  }
}

function formsOf(secret: string | Buffer): Buffer[] {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((before) => base64Within(bytes, before));
  const urlBase64 = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [bytes, ...[hex, hex.toUpperCase(), ...base64, ...urlBase64].map((text) => Buffer.from(text))];
}

/** The characters that are surely there where the bytes are encoded behind `before` others: six bits each. */
function base64Within(bytes: Buffer, before: number): string {
  const whole = Buffer.concat([Buffer.alloc(before), bytes]);
  return whole.toString('base64').slice(Math.ceil((before * 8) / 6), Math.floor((whole.length * 8) / 6));
}
