/** Replays what panels told their pages, without a kernel: the page code of the package on recorded messages. */

const RESTART_AFTER = 3000;
/** Times are milliseconds since 1970; nothing else in the messages is as large. */
const FIRST_TIME = 1.5e12;

function moved(value, by) {
  return JSON.parse(JSON.stringify(value), (_, inner) => (typeof inner === "number" && inner > FIRST_TIME ? inner + by : inner));
}

/** The widget's model, with a recording in place of the kernel. */
class RecordedModel {
  #callbacks = new Map();
  #messages;
  #snapshot;
  #began;
  #shift = 0;
  #next = 0;
  #timer;
  #startedAt = 0;
  /** Streams of charts that the page asked for, by metric. */
  #charts = new Map();
  /** The samples that the page asked for. */
  #samples;

  constructor({ messages, snapshot, began }) {
    this.#snapshot = snapshot;
    this.#messages = messages;
    this.#began = began;
    this.#start();
  }

  get(name) {
    return name === "snapshot" ? moved(this.#snapshot, this.#shift) : undefined;
  }

  on(event, callback) {
    if (!this.#callbacks.has(event)) this.#callbacks.set(event, new Set());
    this.#callbacks.get(event).add(callback);
  }

  off(event, callback) {
    this.#callbacks.get(event)?.delete(callback);
  }

  send(message) {
    if (message.type === "set_chart") {
      this.#charts.set(message.spec.key, message);
      this.#repeat((kept) => kept.stream === `view/${message.spec.key}`);
    }
    if (message.type === "set_samples") {
      this.#samples = message;
      this.#repeat((kept) => kept.type === "grid");
    }
    if (message.type === "resync") this.#repeat(() => true);
  }

  #start() {
    this.#shift = Date.now() - this.#began;
    this.#startedAt = Date.now();
    this.#next = 0;
    if (this.#snapshot.type) this.#tell(this.#snapshot);
    this.#play();
  }

  #play() {
    const passed = Date.now() - this.#startedAt;
    while (this.#next < this.#messages.length && this.#messages[this.#next][0] <= passed) {
      this.#tell(this.#messages[this.#next][1]);
      this.#next += 1;
    }
    const following = this.#messages[this.#next];
    if (following) this.#timer = setTimeout(() => this.#play(), following[0] - passed);
    else this.#timer = setTimeout(() => this.#start(), RESTART_AFTER);
  }

  /** Tells again what was told until now. */
  #repeat(wanted) {
    queueMicrotask(() => {
      for (const [, message] of this.#messages.slice(0, this.#next)) if (wanted(message)) this.#tell(message);
    });
  }

  #tell(message) {
    let told = moved(message, this.#shift);
    if (told.type === "chart" || told.type === "append") {
      const asked = this.#charts.get(told.stream.split("/").slice(1).join("/"));
      if (!asked) return;
      told = { ...told, stream: asked.stream };
      if (told.chart) told.chart.spec = asked.spec;
    }
    if (told.type === "grid") {
      if (!this.#samples) return;
      told = { ...told, stream: this.#samples.view, grid: told.grid && { ...told.grid, spec: this.#samples.spec } };
    }
    for (const callback of [...(this.#callbacks.get("msg:custom") ?? [])]) callback(told, []);
  }

  set() {}

  save_changes() {}
}

const base = new URL("panels/", import.meta.url);

async function play(place) {
  const recording = await (await fetch(new URL(`${place.dataset.recording}.json`, base))).json();
  const { default: widget } = await import(new URL(recording.bundle, base));
  const model = new RecordedModel(recording);
  const { initialize, render } = await widget();
  await initialize?.({ model });
  await render({ model, el: place });
}

/** A panel is played when it comes into sight. */
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    play(target).catch((error) => {
      target.textContent = `This panel could not be played: ${error.message}`;
    });
  }
});
for (const place of document.querySelectorAll(".loops-gallery")) seen.observe(place);
