import { useEffect } from "preact/hooks";
import type { Axis, ChartSpec, CurvesMetadata, FoundKeys } from "./contract";
import { matches, type Order } from "./metric-sections";
import { AXES, type Settings } from "./settings";

/** More keys than that can be searched. */
const FEW = 20;
const SEARCH_AFTER = 150;

interface ChangeProps {
  settings: Settings;
  change: (more: Partial<Settings>) => void;
}

/** The metrics that a search leaves. */
export interface FoundMetrics {
  readonly keys: readonly string[];
  /** How many it found, also those that are not among `keys`. */
  readonly count: number;
  readonly isSearch: boolean;
}

interface Props extends ChangeProps {
  metadata: CurvesMetadata;
  metrics: FoundMetrics;
  isEnlarged: boolean;
  /** What is drawn now, which may not be what was chosen last. */
  drawn: ChartSpec;
  unknown: number;
  /** Saves what is seen as a picture. */
  onSave: () => void;
}

export function Controls({ settings, change, metadata, metrics, isEnlarged, drawn, unknown, onSave }: Props) {
  const { spec } = settings;
  const shared = { settings, change, metadata, metrics };
  return (
    <>
      <div class="tools">
        {isEnlarged ? <KeySelect {...shared} drawn={drawn} /> : <MetricSearch {...shared} />}
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out in a line everywhere */}
        <span class="group" role="group" aria-label="X axis">
          {(Object.keys(AXES) as Axis[]).map((axis) => (
            <button
              key={axis}
              type="button"
              aria-pressed={spec.axis === axis}
              // A range of one axis is nowhere on another one.
              onClick={() => change({ spec: { ...spec, axis, low: null, high: null } })}
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
            value={spec.smoothing}
            onInput={(event) => change({ spec: { ...spec, smoothing: Number(event.currentTarget.value) } })}
          />
          <output>{spec.smoothing ? spec.smoothing.toFixed(2) : "off"}</output>
        </label>
        <YAxisControls settings={settings} change={change} />
        {metadata.runs.length > 1 && <CompareControls settings={settings} change={change} metadata={metadata} />}
        <button type="button" data-control="png" onClick={onSave}>
          Save as PNG
        </button>
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

function YAxisControls({ settings: { spec, isLog, isCut }, change }: ChangeProps) {
  const isZoomed = spec.low !== null || spec.high !== null;
  return (
    <span class="tools together">
      <label>
        <input type="checkbox" checked={isLog} onChange={(event) => change({ isLog: event.currentTarget.checked })} />
        Log scale
      </label>
      <label title="Leave outliers beyond the edges; arrows show where they are">
        <input type="checkbox" checked={isCut} onChange={(event) => change({ isCut: event.currentTarget.checked })} />
        Cut spikes
      </label>
      <button type="button" disabled={!isZoomed} data-control="reset" onClick={() => change({ spec: { ...spec, low: null, high: null } })}>
        Reset zoom
      </button>
    </span>
  );
}

/** Groups with a band, and a baseline that others are compared with. */
function CompareControls({ settings: { spec }, change, metadata: { runs, params } }: ChangeProps & { metadata: CurvesMetadata }) {
  const choose = (more: Partial<ChartSpec>) => change({ spec: { ...spec, ...more }, direction: null });
  const select = (name: string, value: string, options: readonly (readonly [string, string])[], onChange: (value: string) => void) => (
    <label>
      {name}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
  const groups = [["", "no groups"], ["seedless", "name without seed"], ["tag", "tag"], ...params.map(({ name }) => [name, name])];
  // A panel may open with several parameters, or one that is the same everywhere.
  if (!groups.some(([value]) => value === spec.group_by)) groups.push([spec.group_by, spec.group_by]);
  const bases = [["", "none"], ...runs.map(({ id, name }) => [id, name])];
  return (
    <span class="tools together">
      {select("Group by", spec.group_by, groups as [string, string][], (group_by) => choose({ group_by }))}
      {spec.group_by && select("Band", spec.band, BANDS, (band) => choose({ band: band as ChartSpec["band"] }))}
      {select("Baseline", spec.baseline, bases as [string, string][], (baseline) => choose({ baseline }))}
      {spec.baseline && select("as", spec.against, AGAINST, (against) => choose({ against: against as ChartSpec["against"] }))}
    </span>
  );
}

const BANDS = [
  ["std", "mean ± standard deviation"],
  ["minmax", "mean, lowest to highest"],
  ["quartiles", "median, quartiles"],
] as const;
const AGAINST = [
  ["difference", "difference"],
  ["ratio", "ratio"],
] as const;

interface MetricProps extends ChangeProps {
  metadata: CurvesMetadata;
  metrics: FoundMetrics;
}

/** The choice of the metric key, with a search where there are many, and the way back to all of them. */
function KeySelect({ settings, change, metadata, metrics, drawn }: MetricProps & { drawn: ChartSpec }) {
  const { spec } = settings;
  const choose = (key: string) => change({ spec: { ...spec, key }, direction: null, isEnlarged: true });
  const shown = spec.key || drawn.key;
  const total = metadata.keys.length + metadata.more_keys;
  return (
    <>
      {total > 1 && (
        <button type="button" data-control="all" onClick={() => change({ isEnlarged: false })}>
          {`All ${total.toLocaleString("en-GB")} metrics`}
        </button>
      )}
      <label>
        Value
        <select value={shown} onChange={(event) => choose(event.currentTarget.value)}>
          {[...new Set([...(shown ? [shown] : []), ...metrics.keys])].map((key) => (
            <option key={key} value={key}>
              {key}
            </option>
          ))}
        </select>
      </label>
      {total > FEW && <Find settings={settings} change={change} metadata={metadata} metrics={metrics} onEnter={choose} />}
    </>
  );
}

/** The search in all metrics, and their order. */
function MetricSearch({ settings, change, metadata, metrics }: MetricProps) {
  const { spec } = settings;
  return (
    <>
      <Find
        settings={settings}
        change={change}
        metadata={metadata}
        metrics={metrics}
        onEnter={(key) => change({ spec: { ...spec, key }, direction: null, isEnlarged: true })}
      />
      <label>
        Order
        <select value={settings.order} onChange={(event) => change({ order: event.currentTarget.value as Order })}>
          <option value="importance">losses first</option>
          <option value="name">by name</option>
        </select>
      </label>
    </>
  );
}

function Find({ settings, change, metadata, metrics, onEnter }: MetricProps & { onEnter: (key: string) => void }) {
  const { keys, count, isSearch } = metrics;
  const total = metadata.keys.length + metadata.more_keys;
  return (
    <span class="tools together">
      <label>
        Find
        <input
          type="search"
          class="find"
          placeholder={`${total.toLocaleString("en-GB")} keys`}
          value={settings.search}
          onInput={(event) => change({ search: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key === "Enter" && keys[0]) onEnter(keys[0]);
          }}
        />
      </label>
      <span class="soft" role="status" data-found={isSearch ? count : undefined}>
        {isSearch ? searchResult(count, keys) : hiddenKeys(metadata.more_keys)}
      </span>
    </span>
  );
}

/** What a search leaves: the kernel searches the keys that the page has not. */
export function useMetrics(
  { search: text }: Settings,
  metadata: CurvesMetadata,
  found: FoundKeys | null,
  search: (text: string) => void,
): FoundMetrics {
  const isSearch = text.trim() !== "";
  const asksKernel = isSearch && metadata.more_keys > 0;
  useEffect(() => {
    if (!asksKernel) return undefined;
    const timer = setTimeout(() => search(text), SEARCH_AFTER);
    return () => clearTimeout(timer);
  }, [text, asksKernel]);
  const answer = asksKernel && found?.text === text ? found : null;
  const known = isSearch ? metadata.keys.filter((key) => matches(key, text)) : metadata.keys;
  return { keys: answer?.keys ?? known, count: answer?.total ?? known.length, isSearch };
}

function searchResult(count: number, keys: readonly string[]): string {
  if (!count) return "None found";
  const more = count > keys.length ? `; ${keys.length} are listed, type more` : "";
  return `${count.toLocaleString("en-GB")} found; Enter draws ${keys[0]}${more}`;
}

function hiddenKeys(count: number): string {
  return count > 0 ? `${count.toLocaleString("en-GB")} are only found by search` : "";
}
