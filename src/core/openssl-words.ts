/** What OpenSSL said, without the number before it: `error:0A00018F:SSL routines::ee key too small`. */
export function opensslWords(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^error:[0-9A-F]*:/i, '');
}
