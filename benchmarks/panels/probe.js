// Runs in the measured page: when a row was first painted in another state, when a table was there, and a way to scroll one.
globalThis.bench = (() => {
  const painted = new Map();
  const waiting = new Map();
  // In the second frame after the change the first one is on the screen.
  const afterPaint = (then) => requestAnimationFrame(() => requestAnimationFrame(() => then(Date.now())));

  const LIVE = ".loops-nb-live:not(.former)";
  const root = () => document.querySelector(LIVE)?.shadowRoot ?? document.querySelector(".naive-live");

  const states = () => {
    const found = new Map();
    for (const row of root().querySelectorAll("tr[data-id]")) {
      found.set(row.dataset.id, row.querySelector("[data-column=status]")?.textContent ?? "");
    }
    return found;
  };

  return {
    /** Notes from now on when a row is painted in another state, or is gone; once a row. */
    watch() {
      let known = states();
      new MutationObserver(() => {
        const now = states();
        const fresh = [...known].filter(([id, state]) => now.get(id) !== state && !painted.has(id)).map(([id]) => id);
        known = now;
        if (!fresh.length) return;
        afterPaint((at) => {
          for (const id of fresh) {
            if (!painted.has(id)) painted.set(id, at);
            waiting.get(id)?.(painted.get(id));
          }
        });
      }).observe(root(), { subtree: true, childList: true, characterData: true });
    },

    /** When a row was painted; null when that takes longer than so many milliseconds. */
    when(id, patience) {
      if (painted.has(id)) return painted.get(id);
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        setTimeout(() => resolve(null), patience);
      });
    },

    /** Runs a cell; how long until the first rows of its panel, and until all of them, were painted. */
    async open(cell, total) {
      const met = (condition) =>
        new Promise((resolve) => {
          const look = () => (condition() ? afterPaint(resolve) : requestAnimationFrame(look));
          look();
        });
      document.querySelector(LIVE)?.classList.add("former");
      const start = Date.now();
      driver.start(cell);
      const first = await met(() => root()?.querySelector("tr[data-id]"));
      const count = root().querySelector("[data-count]");
      const whole = await met(() => !count || count.textContent === total);
      return { first: first - start, whole: whole - start };
    },

    /** Scrolls the first table frame by frame, evenly and then by leaps; returns how many tasks the browser lists as long ones. */
    async scroll(steps) {
      const box = root().querySelector(".box");
      const frame = () => new Promise(requestAnimationFrame);
      let long = 0;
      const observer = new PerformanceObserver((list) => {
        long += list.getEntries().length;
      });
      observer.observe({ type: "longtask" });
      for (let i = 0; i < steps; i++) {
        box.scrollTop += 240;
        await frame();
      }
      for (let i = 0; i < steps; i++) {
        box.scrollTop = (((i * 7919) % 1000) / 1000) * box.scrollHeight;
        await frame();
      }
      await frame();
      long += observer.takeRecords().length;
      observer.disconnect();
      box.scrollTop = 0;
      return long;
    },
  };
})();
