import type { Host } from "@anywidget/types";
import { useEffect, useRef } from "preact/hooks";

/** A view of another widget, which lives for itself. */
export function Inside({ host, widget, onFail }: { host: Host | undefined; widget: string; onFail: () => void }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const el = place.current as HTMLElement;
    const end = new AbortController();
    const show = async () => {
      // A page without a host fails here, like one that cannot find the widget.
      const other = await (host as Host).getWidget(`anywidget:${widget}`);
      await other.render({ el, signal: end.signal });
    };
    show().catch(onFail);
    return () => end.abort();
  }, [widget]);
  return <div ref={place} />;
}
