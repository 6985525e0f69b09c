/** A unique id.  Not `crypto.randomUUID`: a page that came over plain http from another machine has none. */
export function uniqueId(): string {
  return `${Date.now()}-${Math.random()}`;
}
