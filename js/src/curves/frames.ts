/** Drawing of many charts: as many in each frame as leave the page fluid. */

/** Milliseconds of a frame that are left for other things than these charts. */
const MOST = 12;

const waiting = new Map<object, () => void>();
/** How many charts a frame has time for: bringing one to the screen takes longer than to draw it, so it is tried. */
let capacity = 2;
let drawn = 0;
let frame = 0;

/** Draws a chart, in one of the next frames where this one has drawn enough; only the newest state of each is drawn. */
export function drawInTime(chart: object, draw: () => void, isUrgent: boolean): void {
  waiting.delete(chart);
  if (isUrgent || (drawn < capacity && !waiting.size)) run(draw);
  else waiting.set(chart, draw);
}

/** What a chart was to draw is out of date. */
export function cancelDrawing(chart: object): void {
  waiting.delete(chart);
}

function run(draw: () => void): void {
  drawn++;
  draw();
  frame ||= requestAnimationFrame(onFrame);
}

function onFrame(start: number): void {
  drawn = frame = 0;
  for (const [chart, draw] of waiting) {
    if (drawn >= capacity) break;
    waiting.delete(chart);
    run(draw);
  }
  if (!drawn) return;
  // The next task begins when the frame was painted.
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    capacity = Math.max(1, Math.min(capacity + (performance.now() - start < MOST ? 1 : -1), 12));
    port1.close();
  };
  port2.postMessage(0);
}
