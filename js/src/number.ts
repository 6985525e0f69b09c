/** Numbers of metrics in words. */

const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });

/** With five digits, as the kernel's reports have it. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
  if (value && (size < 1e-4 || size >= 1e15)) return value.toExponential(2).replace("+", "");
  return Number.isInteger(value) || size >= 1e4 ? grouped.format(value) : String(Number(value.toPrecision(5)));
}
