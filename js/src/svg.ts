/** Takes a picture of the kernel's into the page: as a drawing that can do nothing. */

const ACTIVE = /^(script|foreignObject|iframe|embed|object|set|animate.*|handler)$/i;

/** The element to put into the page; null when the text is no picture. */
export function pictureOf(text: string): Element | null {
  const read = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = read.documentElement;
  if (root.localName !== "svg" || read.querySelector("parsererror")) return null;
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (ACTIVE.test(element.localName)) element.remove();
    for (const { name, localName, value } of [...element.attributes]) {
      // Of links only those to its own parts are left.
      if (/^on/i.test(localName) || (localName === "href" && !value.startsWith("#"))) element.removeAttribute(name);
    }
  }
  return document.importNode(root, true);
}
