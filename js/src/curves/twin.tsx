import { useState } from "preact/hooks";
import type { CurveHead } from "./contract";
import { reading, seen } from "./geometry";
import type { Line, Picture } from "./points";
import { exact, said } from "./scale";
import { AXES, type Settings } from "./settings";

const ROWS = 20;

/** The same as a table: what the lines say at places evenly apart. */
export function Twin({
  head,
  picture,
  lines,
  settings,
}: {
  head: CurveHead;
  picture: Picture;
  lines: readonly Line[];
  settings: Settings;
}) {
  const [isOpen, setOpen] = useState(false);
  const { axis } = picture.look;
  const { low, high } = seen(axis === settings.look.axis ? settings.look : picture.look, picture);
  const places = Array.from({ length: ROWS + 1 }, (_, i) => low + ((high - low) * i) / ROWS);
  return (
    <details data-table="twin" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The same as a table</summary>
      {isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
        <section class="rows" aria-label="The curves as a table" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{AXES[axis]}</th>
                {lines.map((line) => (
                  <th key={line.run} scope="col" class="number">
                    {head.runs[line.run]?.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {places.map((at) => (
                <tr key={at}>
                  <th scope="row">{said(axis, at)}</th>
                  {lines.map((line) => (
                    <td key={line.run} class="number">
                      {exact(near(line, at, (high - low) / ROWS))}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </details>
  );
}

/** The value next to a place; none where the line has ended, or not begun. */
function near(line: Line, at: number, apart: number): number | null {
  const found = reading(line, at);
  return found && Math.abs(found.x - at) <= apart ? found.y : null;
}
