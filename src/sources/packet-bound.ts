/**
 * Notices a packet that is larger than may be by what its fixed header says, before its body comes: the parser behind it
 * would gather up to 256 MB.
 */
export class PacketBound {
  /** Of the packet that passes now. */
  private bodyLeft = 0;
  private length = 0;
  /** What the next byte of a length counts for; 0: the next byte begins a packet. */
  private factor = 0;

  /** @param mostBytes behind the fixed header */
  constructor(readonly mostBytes: number) {}

  /** Whether one that is too large begins in `chunk`, the next piece of the stream. */
  isBroken(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.bodyLeft > 0) {
        const step = Math.min(this.bodyLeft, chunk.length - at);
        this.bodyLeft -= step;
        at += step;
        continue;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      if (this.factor === 0) {
        this.length = 0;
        this.factor = 1;
        continue;
      }
      // Seven bits each, the lowest first; the eighth says that another byte follows [MQTT-2.2.3].
      this.length += (byte & 0x7f) * this.factor;
      this.factor *= 128;
      if (this.length > this.mostBytes) return true;
      if ((byte & 0x80) !== 0) continue;
      this.bodyLeft = this.length;
      this.factor = 0;
    }
    return false;
  }
}
