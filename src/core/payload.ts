/**
 * What stands in a payload: bytes into text, text into JSON or words.
 *
 * Devices differ: `snprintf` leaves a NUL behind, `println` a CRLF, statestream puts quotes around a string.
 */
import type { Scalar } from './reading.ts';

/** A payload taken apart once, for all mappings on its topic. */
export type Payload =
  /** An object or array. Treat `value` as read-only: mappings share it. */
  | { readonly kind: 'json'; readonly value: object; readonly text: string }
  /** A JSON scalar as what it is, or trimmed text. `text` is the payload as it was written, but for its edges. */
  | { readonly kind: 'scalar'; readonly value: Scalar; readonly text: string; readonly json: boolean }
  | { readonly kind: 'ignored'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** Larger payloads are pictures and inventories, never readings. */
export const MAX_PAYLOAD_BYTES = 65_536;

const utf8 = new TextDecoder('utf-8', { fatal: true });
const lenientUtf8 = new TextDecoder('utf-8');

/** Reads a payload; never throws. */
export function readPayload(bytes: Uint8Array, maxBytes = MAX_PAYLOAD_BYTES): Payload {
  if (bytes.length > maxBytes) {
    return { kind: 'refused', reason: `the payload has ${bytes.length} bytes, more than ${maxBytes}` };
  }
  let decoded: string;
  try {
    decoded = utf8.decode(bytes);
  } catch {
    return { kind: 'refused', reason: 'the payload is binary: it is not UTF-8 text' };
  }
  const text = trimmed(decoded);
  if (isNoReading(text)) {
    return { kind: 'ignored', reason: text === '' ? 'the payload is empty' : `"${text}" is no reading` };
  }
  if (text.includes('\0')) return { kind: 'refused', reason: 'the payload is binary: it contains NUL' };
  return parsed(text);
}

const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** A failing `JSON.parse` costs microseconds: it is called only where the first character promises JSON. */
function parsed(text: string): Payload {
  switch (text[0]) {
    case '{':
    case '[':
    case '"':
      if (isDeep(text)) {
        return { kind: 'refused', reason: `the payload is nested more than ${MAX_NESTING} levels deep` };
      }
      try {
        const value: unknown = JSON.parse(text);
        if (typeof value === 'object' && value !== null) return { kind: 'json', value, text };
        if (typeof value === 'string') {
          const inner = trimmed(value);
          if (isNoReading(inner)) return { kind: 'ignored', reason: `${text} is no reading` };
          return { kind: 'scalar', value: inner, text, json: true };
        }
      } catch {
        // Log lines begin with [ and quotations with "; a { that does not parse is JSON cut off or broken.
        if (text[0] === '{') return { kind: 'refused', reason: 'the payload is cut off or broken JSON' };
      }
      break;
    case 't':
      if (text === 'true') return { kind: 'scalar', value: true, text, json: true };
      break;
    case 'f':
      if (text === 'false') return { kind: 'scalar', value: false, text, json: true };
      break;
    default: {
      if (!jsonNumber.test(text)) break;
      const value = Number(text);
      if (Number.isFinite(value)) return { kind: 'scalar', value, text, json: true };
    }
  }
  return { kind: 'scalar', value: text, text, json: false };
}

/** Deeper nesting than this is no reading, and what walks through it would run out of stack. */
const MAX_NESTING = 100;

/** Whether brackets outside of strings are nested too deep. Short text cannot be: it is not looked at. */
function isDeep(text: string): boolean {
  if (text.length <= MAX_NESTING) return false;
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (char === '"') inString = !inString;
    else if (inString) index += char === '\\' ? 1 : 0;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
    if (depth > MAX_NESTING) return true;
  }
  return false;
}

/** Whether a code unit is white space or NUL. */
function isBlank(code: number): boolean {
  return code <= 32 || code === 0xa0 || code === 0xfeff;
}

/** Without white space, control characters and NUL at both ends. In time linear to the length, as no pattern is. */
export function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return end - start === text.length ? text : text.slice(start, end);
}

const noReadings = new Set(['', 'unknown', 'unavailable', 'none', 'null', 'nan']);

/** Whether `text` says that there is no reading: it changes nothing. */
export function isNoReading(text: string): boolean {
  return text.length <= 11 && noReadings.has(text.toLowerCase());
}

/** The beginning of a payload for a person to look at, without control characters. */
export function sampleOf(bytes: Uint8Array, maxLength = 200): string {
  // A UTF-8 character has at most four bytes; what is cut in half at the end is left out by the slice.
  const text = lenientUtf8.decode(bytes.subarray(0, maxLength * 4 + 4));
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, maxLength);
}
