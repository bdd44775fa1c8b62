/**
 * What comes back from Exist's page by way of the browser (RFC 6749, 4.1.2): on the address redirected to, or pasted.
 */

export type LoginAnswer =
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'denied'; readonly message: string }
  /** Of another login than the one that was begun, or made up by somebody (RFC 6749, 10.12). */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'nothing' };

/** @param text the whole address, the part from `?` on, or the code alone */
export function readPasted(text: string, state: string): LoginAnswer {
  const pasted = text.trim();
  if (URL.canParse(pasted)) return readQuery(new URL(pasted).searchParams, state);
  if (pasted.includes('=')) {
    return readQuery(new URLSearchParams(pasted.slice(pasted.indexOf('?') + 1)), state);
  }
  // Whoever copies the code by hand has seen where it comes from.
  return /^[\x21-\x7e]{1,4096}$/.test(pasted) ? { kind: 'code', code: pasted } : { kind: 'nothing' };
}

export function readQuery(query: URLSearchParams, state: string): LoginAnswer {
  const code = query.get('code');
  const error = query.get('error');
  if (code === null && error === null) return { kind: 'nothing' };
  if (query.get('state') !== state) return { kind: 'foreign' };
  if (error !== null) {
    const words = query.get('error_description');
    const shown = words === null ? error : `${error}: ${words}`;
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    return { kind: 'denied', message: shown.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 300) };
  }
  return code === null || code === '' ? { kind: 'nothing' } : { kind: 'code', code };
}
