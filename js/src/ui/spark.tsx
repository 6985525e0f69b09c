/** A series as a small line. */

const LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TOP = LEVELS.length - 1;
const HEIGHT = 20;

/** The path of a sparkline in a box of 100 by 20; spans without a value are passed over. */
export function sparkPath(text: string): string {
  const points = [...text].flatMap((letter, i) => {
    const level = LEVELS.indexOf(letter);
    return level < 0 ? [] : [[(100 * i) / Math.max(1, text.length - 1), 2 + (HEIGHT - 4) * (1 - level / TOP)] as const];
  });
  const [first] = points;
  if (points.length === 1 && first) return `M0 ${first[1]}H100`;
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** Its first, last and best values stand beside it, so that it says nothing by itself. */
export function Spark({ text }: { text: string }) {
  return (
    <svg class="spark" viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={sparkPath(text)} />
    </svg>
  );
}
