/** Whether the surroundings are light or dark, for what the browser draws by itself: scroll bars, boxes, carets. */

const WATCHED = ["class", "style", "data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "data-theme", "theme"];

export function followScheme(host: HTMLElement): () => void {
  const set = () => {
    const scheme = schemeOf(host);
    if (host.style.colorScheme !== scheme) host.style.colorScheme = scheme;
  };
  const observer = new MutationObserver(set);
  for (const element of [document.documentElement, document.body]) observer.observe(element, { attributeFilter: WATCHED });
  // A theme's style sheet may arrive after the name of the theme.
  document.addEventListener("load", set, true);
  set();
  return () => {
    observer.disconnect();
    document.removeEventListener("load", set, true);
  };
}

function schemeOf(host: HTMLElement): string {
  const style = getComputedStyle(host);
  const named = style.getPropertyValue("--jp-ui-font-color1") || style.getPropertyValue("--vscode-editor-foreground");
  if (!named) return "light dark";
  const [r = 0, g = 0, b = 0] = style.color.match(/[\d.]+/g)?.map(Number) ?? [];
  const scale = style.color.startsWith("color(") ? 255 : 1;
  return (r * 299 + g * 587 + b * 114) * scale > 128_000 ? "dark" : "light";
}
