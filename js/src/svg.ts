/** Sanitizes the kernel's SVG before it goes into the page: no scripts, no handlers, no links to elsewhere. */

const ACTIVE = /^(script|foreignObject|iframe|embed|object|set|animate.*|handler)$/i;

/** The element to put into the page; null when the text is no SVG. */
export function pictureOf(text: string): Element | null {
  const read = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = read.documentElement;
  if (root.localName !== "svg" || read.querySelector("parsererror")) return null;
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (ACTIVE.test(element.localName)) element.remove();
    for (const { name, localName, value } of [...element.attributes]) {
      // Of links only those to its own parts are left, and pixels that are in the text itself.
      const isOwn = value.startsWith("#") || (element.localName === "image" && value.startsWith("data:image/png;base64,"));
      if (/^on/i.test(localName) || (localName === "href" && !isOwn)) element.removeAttribute(name);
    }
  }
  return document.importNode(root, true);
}
