import { useEffect, useRef, useState } from "preact/hooks";
import type { Notice } from "../contract";
import { many, moment } from "../format";
import { permission, requestPermission } from "../notifications";
import { Banner, Button, IconButton } from "./elements";
import { usePanel } from "./panel-context";

const AT_ONCE = 3;

/** What ended or came up.  Each is said once by a screen reader, when it comes; those that were there before are only shown. */
export function Notices({ notices, notify }: { notices: readonly Notice[]; notify: boolean }) {
  const { session } = usePanel();
  const [dismissed, setDismissed] = useState<ReadonlySet<string>>(new Set());
  const [allowed, setAllowed] = useState(permission());
  const known = useRef<Set<string> | null>(null);
  const [spoken, setSpoken] = useState<readonly Notice[]>([]);
  useEffect(() => {
    const fresh = known.current ? notices.filter((notice) => !known.current?.has(notice.id)) : [];
    known.current = new Set([...(known.current ?? []), ...notices.map((notice) => notice.id)]);
    if (fresh.length) setSpoken(fresh);
  }, [notices]);

  const open = notices.filter((notice) => !dismissed.has(notice.id));
  const speak = (isBad: boolean) =>
    spoken.filter((notice) => (notice.tone === "bad") === isBad).map((notice) => `${notice.text} ${notice.hint} `);
  const draw = (notice: Notice) => (
    <div key={notice.id} class="notice" data-notice={notice.id}>
      <Banner tone={notice.tone} lead={notice.text}>
        {notice.hint} <span class="soft">{moment(notice.at, session.now())}</span>
      </Banner>
      <IconButton
        icon="close"
        label={`Dismiss: ${notice.text}`}
        kind="dismiss"
        onPress={() => setDismissed(new Set([...dismissed, notice.id]))}
      />
    </div>
  );
  return (
    <div>
      <div class="unseen" role="alert">
        {speak(true)}
      </div>
      <div class="unseen" role="status">
        {speak(false)}
      </div>
      {notify && allowed === "default" && (
        <p class="soft">
          <Button data-control="allow" onClick={() => requestPermission().then(() => setAllowed(permission()))}>
            Allow notifications
          </Button>{" "}
          to hear of what ends while you are elsewhere.
        </p>
      )}
      {open.slice(0, AT_ONCE).map(draw)}
      {open.length > AT_ONCE && (
        <details>
          <summary>{many(open.length - AT_ONCE, "older notice")}</summary>
          {open.slice(AT_ONCE).map(draw)}
        </details>
      )}
    </div>
  );
}
