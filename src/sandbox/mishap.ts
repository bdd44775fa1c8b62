/**
 * Carries out a fault: what is applied, and what the caller gets to see of it.
 */
import type { ServerResponse } from 'node:http';
import type { Twist } from './exist-api.ts';
import type { FaultEffect } from './faults.ts';
import { json, send, type Call, type Reply } from './http.ts';

export interface MishapParts {
  readonly call: Call;
  readonly response: ServerResponse;
  /** Applies a call and gives the answer it should have had. */
  readonly apply: (call: Call, twist?: Twist) => Reply;
  readonly applyLater: (call: Call, delayMs: number) => void;
  readonly disown: (names: readonly string[]) => void;
  readonly expireToken: () => void;
}

/** Returns what the caller saw, in a word or two. */
export function misbehave(effect: FaultEffect, parts: MishapParts): string {
  const { call, response, apply } = parts;
  const answer = (reply: Reply): string => {
    send(response, reply);
    return String(reply.status);
  };
  const applyIf = (isApplied: boolean): Reply =>
    isApplied ? apply(call) : json(200, { success: [], failed: [] });
  switch (effect.kind) {
    case 'lose':
      return lose(response);
    case 'apply-then-lose':
      apply(call);
      return lose(response);
    case 'apply-half-then-lose':
      apply(firstHalf(call));
      return lose(response);
    case 'timeout':
      return 'no answer';
    case 'apply-then-timeout':
      apply(call);
      return 'no answer';
    case 'apply-late':
      parts.applyLater(call, effect.delayMs);
      return lose(response);
    case 'apply-twice':
      apply(call);
      return answer(apply(call));
    case 'status': {
      if (effect.applied) apply(call);
      const body = effect.body ?? JSON.stringify({ detail: `A fault was asked for: ${effect.status}.` });
      const headers = { 'content-type': 'application/json', ...effect.headers };
      return answer({ status: effect.status, headers, body });
    }
    case 'broken-json': {
      const reply = applyIf(effect.applied ?? true);
      return answer({ ...reply, body: half(reply.body) });
    }
    case 'cut-body': {
      const reply = applyIf(effect.applied ?? true);
      response.writeHead(reply.status, { ...reply.headers, 'content-length': Buffer.byteLength(reply.body) });
      response.write(half(reply.body), () => response.socket?.destroy());
      return 'cut';
    }
    case 'html': {
      if (effect.applied) apply(call);
      const body =
        '<!doctype html><title>Log in to the network</title><p>Please log in to use this network.</p>';
      return answer({ status: 200, headers: { 'content-type': 'text/html' }, body });
    }
    case 'oversized': {
      const reply = applyIf(effect.applied ?? true);
      return answer({ ...reply, body: reply.body + ' '.repeat(effect.bytes) });
    }
    case 'missing-item':
      return answer(withoutItem(apply(call), effect.index));
    case 'no-date':
      return answer(apply(call, { dates: 'none' }));
    case 'echo-date':
      return answer(apply(call, { dates: 'echo' }));
    case 'stale-read':
      return answer(apply(call, { isStale: true }));
    case 'drop-ownership':
      parts.disown(namesIn(call));
      return answer(apply(call));
    case 'expire-token':
      parts.expireToken();
      return answer(json(401, { detail: 'Invalid token.' }));
  }
}

function lose(response: ServerResponse): string {
  response.socket?.resetAndDestroy();
  return 'connection reset';
}

function half(text: string): string {
  return text.slice(0, Math.ceil(text.length / 2));
}

/** The first half of the items, rounded down: of a single item, nothing. */
function firstHalf(call: Call): Call {
  const items = parse(call.body);
  if (!Array.isArray(items)) return call;
  return { ...call, body: JSON.stringify(items.slice(0, Math.floor(items.length / 2))) };
}

function namesIn(call: Call): string[] {
  const items = parse(call.body);
  if (!Array.isArray(items)) return [];
  return items.flatMap((item: unknown) =>
    typeof item === 'object' && item !== null && 'name' in item ? [String(item.name)] : [],
  );
}

/** Without item `index` of a list; of a write's answer, counted through `success` and then `failed`. */
function withoutItem(reply: Reply, index: number): Reply {
  const answer = parse(reply.body);
  if (typeof answer !== 'object' || answer === null) return reply;
  if ('results' in answer && Array.isArray(answer.results)) {
    const results = (answer.results as unknown[]).filter((_, place) => place !== index);
    return { ...reply, body: JSON.stringify({ ...answer, results }) };
  }
  if (!('success' in answer) || !('failed' in answer)) return reply;
  const success = Array.isArray(answer.success) ? [...(answer.success as unknown[])] : [];
  const failed = Array.isArray(answer.failed) ? [...(answer.failed as unknown[])] : [];
  if (index < success.length) success.splice(index, 1);
  else failed.splice(index - success.length, 1);
  return { ...reply, body: JSON.stringify({ success, failed }) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
