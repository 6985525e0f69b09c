/** What is seen, as a picture in a file: the charts, their names and the legend. */

import { lineStyle } from "./line-styles";

interface Named {
  readonly name: string;
  readonly style: number;
}

const GAP = 12;
const ROW = 18;

/** Draws the charts of a panel beside and below each other, as they are on the page. */
export function pictureOf(panel: Element, title: string, runs: readonly Named[]): HTMLCanvasElement {
  const charts = [...panel.querySelectorAll<HTMLCanvasElement>(".plot canvas")];
  const boxes = charts.map((chart) => chart.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  const high = Math.max(...boxes.map((box) => box.bottom)) - top;
  const ratio = devicePixelRatio;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const font = "12px system-ui, sans-serif";
  context.font = font;
  const places: { x: number; y: number }[] = [];
  let [x, y] = [0, 0];
  for (const { name } of runs) {
    const wide = context.measureText(name).width + 30;
    if (x > 0 && x + wide > width) [x, y] = [0, y + ROW];
    places.push({ x, y });
    x += wide;
  }
  const head = ROW + GAP + y + ROW + ROW;
  canvas.width = Math.ceil((width + 2 * GAP) * ratio);
  canvas.height = Math.ceil((head + high + 2 * GAP) * ratio);
  context.scale(ratio, ratio);
  const { backgroundColor, color } = getComputedStyle(charts[0]?.closest(".plot") ?? panel);
  context.fillStyle = backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(GAP, GAP);
  context.fillStyle = color;
  context.font = `600 ${font}`;
  context.fillText(title, 0, ROW - 5, width);
  context.font = font;
  runs.forEach((run, i) => {
    const place = places[i] as { x: number; y: number };
    context.fillStyle = lineStyle(run).colour;
    context.fillRect(place.x, ROW + GAP + place.y + 6, 12, 3);
    context.fillStyle = color;
    context.fillText(run.name, place.x + 16, ROW + GAP + place.y + 12);
  });
  charts.forEach((chart, i) => {
    const box = boxes[i] as DOMRect;
    context.drawImage(chart, box.left - left, head + box.top - top, box.width, box.height);
    const key = chart.closest<HTMLElement>("[data-key]")?.dataset.key;
    if (key) context.fillText(key, box.left - left, head + box.top - top - 4);
  });
  return canvas;
}

/** Has the browser save a picture. */
export function save(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name.replace(/[^\w.-]+/g, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
