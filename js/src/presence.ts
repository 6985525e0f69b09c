/** Tells the kernel whether anybody can see a view, so that it looks only for those who look. */

/** What is told. */
export interface Audience {
  open(view: string): void;
  seen(view: string, visible: boolean): void;
  gone(view: string): void;
}

/** The kernel takes a view for closed when it hears nothing for 35 seconds. */
const REPEAT = 10_000;
/** Where the notebook passes on nothing that a thread sends, each sign of life lets the kernel answer. */
const COLAB_REPEAT = 3000;

export function announcePresence(session: Audience, view: string, host: Element): () => void {
  let intersects = false;
  let visible: boolean | null = null;

  const tell = () => {
    const now = intersects && document.visibilityState !== "hidden";
    if (now === visible) return;
    visible = now;
    session.seen(view, now);
  };
  const observer = new IntersectionObserver((entries) => {
    intersects = entries.at(-1)?.isIntersecting ?? false;
    tell();
  });
  const onHide = () => session.gone(view);
  // A page that comes back from the browser's cache was told to be gone.
  const onShow = (event: PageTransitionEvent) => {
    if (!event.persisted) return;
    session.open(view);
    visible = null;
    tell();
  };

  session.open(view);
  observer.observe(host);
  document.addEventListener("visibilitychange", tell);
  window.addEventListener("pagehide", onHide);
  window.addEventListener("pageshow", onShow);
  const timer = setInterval(() => visible && session.seen(view, true), inColab() ? COLAB_REPEAT : REPEAT);

  return () => {
    clearInterval(timer);
    observer.disconnect();
    document.removeEventListener("visibilitychange", tell);
    window.removeEventListener("pagehide", onHide);
    window.removeEventListener("pageshow", onShow);
    session.gone(view);
  };
}

function inColab(): boolean {
  const { google } = globalThis as { google?: { colab?: unknown } };
  return google?.colab !== undefined;
}
