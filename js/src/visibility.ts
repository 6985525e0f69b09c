/** Reports to the kernel whether a view is visible, so that it only polls for visible views. */

export interface ViewListener {
  openView(view: string): void;
  setVisible(view: string, visible: boolean): void;
  closeView(view: string): void;
}

/** The kernel takes a view for closed when it receives nothing for 35 seconds. */
const REPEAT = 10_000;
/** Where the notebook passes on nothing that a thread sends, each message of the page lets the kernel answer. */
const COLAB_REPEAT = 3000;

/** Reports until the returned function is called. */
export function reportVisibility(listener: ViewListener, view: string, host: Element): () => void {
  let intersects = false;
  let visible: boolean | null = null;

  const report = () => {
    const now = intersects && document.visibilityState !== "hidden";
    if (now === visible) return;
    visible = now;
    listener.setVisible(view, now);
  };
  const observer = new IntersectionObserver((entries) => {
    intersects = entries.at(-1)?.isIntersecting ?? false;
    report();
  });
  const onHide = () => listener.closeView(view);
  // A page that comes back from the browser's cache was reported as closed.
  const onShow = (event: PageTransitionEvent) => {
    if (!event.persisted) return;
    listener.openView(view);
    visible = null;
    report();
  };

  listener.openView(view);
  observer.observe(host);
  document.addEventListener("visibilitychange", report);
  window.addEventListener("pagehide", onHide);
  window.addEventListener("pageshow", onShow);
  const timer = setInterval(() => visible && listener.setVisible(view, true), inColab() ? COLAB_REPEAT : REPEAT);

  return () => {
    clearInterval(timer);
    observer.disconnect();
    document.removeEventListener("visibilitychange", report);
    window.removeEventListener("pagehide", onHide);
    window.removeEventListener("pageshow", onShow);
    listener.closeView(view);
  };
}

function inColab(): boolean {
  const { google } = globalThis as { google?: { colab?: unknown } };
  return google?.colab !== undefined;
}
