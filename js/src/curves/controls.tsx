import type { Axis, Look } from "./contract";
import { AXES, isLowBest, type Settings } from "./settings";

interface Props {
  keys: readonly string[];
  /** What is drawn now, which may not be what was chosen yet. */
  drawn: Look;
  settings: Settings;
  change: (more: Partial<Settings>) => void;
  unknown: number;
}

export function Controls({ keys, drawn, settings, change, unknown }: Props) {
  const { look, isLog, isCut } = settings;
  const key = look.key || drawn.key;
  const turn = (more: Partial<Look>) => change({ look: { ...look, ...more } });
  const isZoomed = look.low !== null || look.high !== null;
  return (
    <>
      <div class="tools">
        <label>
          Value
          <select
            value={key}
            onChange={(event) => {
              const chosen = event.currentTarget.value;
              change({ look: { ...look, key: chosen }, isLowBest: isLowBest(chosen) });
            }}
          >
            {[...new Set([...(key ? [key] : []), ...keys])].map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
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
