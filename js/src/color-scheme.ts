/** Tells the browser whether the theme around a panel is light or dark, for what it draws by itself: scroll bars, boxes, carets. */
export function followScheme(host: HTMLElement): () => void {
  const set = () => {
    const style = getComputedStyle(host);
    const themed = style.getPropertyValue("--jp-layout-color0") || style.getPropertyValue("--vscode-editor-foreground");
    // A theme says it by the colour of its text alone.
    const [red = 0, green = 0, blue = 0] = style.color.match(/[\d.]+/g)?.map(Number) ?? [];
    host.style.colorScheme = themed ? (red + green + blue > 384 ? "dark" : "light") : "light dark";
  };
  const observer = new MutationObserver(set);
  observer.observe(document.body, { attributes: true });
  set();
  return () => observer.disconnect();
}
