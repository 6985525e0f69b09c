import { useEffect, useState } from "preact/hooks";
import type { Axis, CurveHead, FoundKeys, Look } from "./contract";
import { AXES, type Settings } from "./settings";

/** More keys than that are searched. */
const FEW = 20;
const FIND_AFTER = 150;

interface Props {
  head: CurveHead;
  /** What the kernel found last. */
  found: FoundKeys | null;
  find: (text: string) => void;
  /** What is drawn now, which may not be what was chosen yet. */
  drawn: Look;
  settings: Settings;
  change: (more: Partial<Settings>) => void;
  unknown: number;
}

export function Controls({ head, found, find, drawn, settings, change, unknown }: Props) {
  const [text, setText] = useState("");
  const { more_keys: more } = head;
  const total = head.keys.length + more;
  const isSearch = text.trim() !== "";
  const isAsked = isSearch && more > 0;
  useEffect(() => {
    if (!isAsked) return undefined;
    const timer = setTimeout(() => find(text), FIND_AFTER);
    return () => clearTimeout(timer);
  }, [text, isAsked]);
  const answer = isAsked && found?.text === text ? found : null;
  const here = isSearch ? head.keys.filter((each) => fits(each, text)) : head.keys;
  const keys = answer?.keys ?? here;
  const count = answer?.total ?? here.length;
  const choose = (chosen: string) => change({ look: { ...settings.look, key: chosen }, direction: null });
  const { look, isLog, isCut } = settings;
  const key = look.key || drawn.key;
  const turn = (more: Partial<Look>) => change({ look: { ...look, ...more } });
  const isZoomed = look.low !== null || look.high !== null;
  return (
    <>
      <div class="tools">
        <label>
          Value
          <select value={key} onChange={(event) => choose(event.currentTarget.value)}>
            {[...new Set([...(key ? [key] : []), ...keys])].map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
        {total > FEW && (
          <span class="tools together">
            <label>
              Find
              <input
                type="search"
                class="find"
                placeholder={`${total.toLocaleString("en-GB")} keys`}
                value={text}
                onInput={(event) => setText(event.currentTarget.value)}
                onKeyDown={(event) => {
                  if (event.key === "Enter" && keys[0]) choose(keys[0]);
                }}
              />
            </label>
            <span class="soft" role="status" data-found={isSearch ? count : undefined}>
              {isSearch
                ? `${count ? `${count.toLocaleString("en-GB")} found; Enter draws ${keys[0]}` : "None found"}${
                    count > keys.length ? `; ${keys.length} are listed, type more` : ""
                  }`
                : more > 0 && `${more.toLocaleString("en-GB")} are only found by search`}
            </span>
          </span>
        )}
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out in a line everywhere */}
        <span class="group" role="group" aria-label="Along">
          {(Object.keys(AXES) as Axis[]).map((axis) => (
            <button
              key={axis}
              type="button"
              aria-pressed={look.axis === axis}
              // Where one zoomed in is nowhere on another axis.
              onClick={() => change({ look: { ...look, axis, low: null, high: null }, cursor: null })}
            >
              {AXES[axis]}
            </button>
          ))}
        </span>
        <label>
          Smooth
          <input
            type="range"
            min="0"
            max="0.99"
            step="0.01"
            value={look.smoothing}
            onInput={(event) => turn({ smoothing: Number(event.currentTarget.value) })}
          />
          <output>{look.smoothing ? look.smoothing.toFixed(2) : "off"}</output>
        </label>
        <span class="tools together">
          <label>
            <input type="checkbox" checked={isLog} onChange={(event) => change({ isLog: event.currentTarget.checked })} />
            Log scale
          </label>
          <label title="Leave the few values that stand out beyond the edges; arrows show where they are">
            <input type="checkbox" checked={isCut} onChange={(event) => change({ isCut: event.currentTarget.checked })} />
            Cut spikes
          </label>
          <button type="button" disabled={!isZoomed} data-control="reset" onClick={() => turn({ low: null, high: null })}>
            Show all
          </button>
        </span>
      </div>
      {unknown > 0 && (
        <p class="soft">
          {unknown === 1 ? "One experiment has nothing on this axis: its " : `${unknown} experiments have nothing on this axis: their `}
          {AXES[drawn.axis].toLowerCase()} were not recorded. To record them: <code>exp.log(step=1, loss=0.5, tokens_seen=4096)</code>
        </p>
      )}
    </>
  );
}

/** As the kernel does: every word of the search, whatever its case. */
function fits(key: string, text: string): boolean {
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => key.toLowerCase().includes(word));
}
