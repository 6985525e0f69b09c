import type { CurvesMetadata } from "./contract";
import { lineStyle, Swatch } from "./line-styles";

/** What was set differently; what is the same everywhere is only counted. */
export function ParamTable({ metadata }: { metadata: CurvesMetadata }) {
  const { runs, params, same_params: same, more_params: more } = metadata;
  if (!params.length)
    return same ? <p class="soft">{same === 1 ? "The one parameter is" : `All ${same} parameters are`} the same.</p> : null;
  return (
    <details open data-table="params">
      <summary>
        Parameters that differ: {params.length + more}
        {same > 0 && `; ${same} ${same === 1 ? "is" : "are"} the same`}
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key */}
      <section class="rows" aria-label="Parameters that differ" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Parameter</th>
              {runs.map((run) => (
                <th key={run.id} scope="col">
                  <Swatch style={lineStyle(run)} /> {run.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {params.map(({ name, values }) => (
              <tr key={name}>
                <th scope="row">
                  <code>{name}</code>
                </th>
                {runs.map((run, i) => (
                  <td key={run.id} class="text">
                    {values[i] ?? <span class="soft">–</span>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {more > 0 && <p class="soft">{more === 1 ? "One more that differs is" : `${more} more that differ are`} not shown.</p>}
    </details>
  );
}
