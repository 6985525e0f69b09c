/** A name that nothing else has.  Not `crypto.randomUUID`: a page that came over plain http from another machine has none. */
export function freshName(): string {
  return `${Date.now()}-${Math.random()}`;
}
