import { useEffect, useRef, useState } from "preact/hooks";
import { everySecond } from "../every-second";
import type { Status } from "../status";

interface Drawn {
  status(at?: number): Status;
  subscribe(listener: () => void): () => void;
  onSecond(at: number): void;
}

/** Draws again whenever a session has news, or its status is another one; returns the status. */
export function useSession(session: Drawn): Status {
  const [, draw] = useState(0);
  const status = session.status();
  const last = useRef(status);
  last.current = status;
  useEffect(() => {
    const redraw = () => draw((n) => n + 1);
    const unsubscribe = session.subscribe(redraw);
    const stop = everySecond((now) => {
      session.onSecond(now);
      if (session.status(now) !== last.current) redraw();
    });
    redraw();
    return () => {
      unsubscribe();
      stop();
    };
  }, [session]);
  return status;
}

/** A screen reader only repeats a sentence that was removed in between. */
export function useAnnouncement(): [string, (text: string) => void] {
  const [announced, announce] = useState("");
  useEffect(() => {
    if (!announced) return undefined;
    const timer = setTimeout(() => announce(""), 3000);
    return () => clearTimeout(timer);
  }, [announced]);
  return [announced, announce];
}
