import { useEffect, useRef } from "preact/hooks";
import { Button } from "./elements";

/** Where pages may not write to the clipboard, the user copies. */
export function CopyByHand({ text, onClose }: { text: string; onClose: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), [text]);
  return (
    <div class="banner busy">
      <p>Press Ctrl+C to copy:</p>
      <input ref={field} readOnly value={text} aria-label="To copy" data-control="by-hand" />
      <Button onClick={onClose}>Close</Button>
    </div>
  );
}
