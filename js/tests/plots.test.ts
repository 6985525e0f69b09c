import type { Host } from "@anywidget/types";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { PlotStatus } from "../src/contract";
import { pictureOf } from "../src/svg";
import { closeAll, Page, shifted } from "./page";
import { rowOf, snapshot } from "./sample";

const until = vi.waitFor;
const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t" width="100%" height="40"><title id="t">Six</title><circle r="5"/></svg>';

afterEach(() => {
  closeAll();
  vi.useRealTimers();
});

function told(page: Page, picture: Omit<PlotStatus, "type">): void {
  page.model.tell({ type: "plot", ...picture });
}

async function opened(view: "checkpoints" | "run" = "checkpoints", host?: Host): Promise<Page> {
  const page = new Page(shifted(snapshot(view, 6)), { host });
  await until(() => expect(page.all("[role=tab]")).toHaveLength(view === "run" ? 7 : 4));
  return page;
}

function tab(page: Page, name: string): HTMLElement {
  return page.one(`#tab-${name}`);
}

async function shown(page: Page, name: string): Promise<void> {
  tab(page, name).click();
  await until(() => expect(page.has(`#panel-${name}:not([hidden])`)).toBe(true));
  if (name !== "table") await until(() => expect(page.model.sentOf("select_plot").at(-1)?.plot).toBe(name));
}

describe("the pictures of checkpoints", () => {
  it.each([
    ["checkpoints", ["Table", "Timeline", "Sizes", "Drift"]],
    ["run", ["Table", "Curves", "Samples", "System", "Timeline", "Sizes", "Drift"]],
  ] as const)("stand beside the table in %s, and nowhere else", async (view, tabs) => {
    const page = await opened(view);
    expect(page.all("[role=tab]").map((each) => each.textContent)).toEqual(tabs);
    expect(page.model.sentOf("select_plot")).toEqual([]);
    const fleet = new Page(shifted(snapshot("fleet", 6)));
    await until(() => expect(fleet.has("tr[data-id]")).toBe(true));
    expect(fleet.has("[role=tab]")).toBe(false);
  });

  it("are asked for when they are shown, and no more when they are not", async () => {
    const page = await opened();
    await shown(page, "timeline");
    await until(() => expect(page.model.sentOf("select_plot")).toHaveLength(1));
    const [first] = page.model.sentOf("select_plot");
    expect(first).toMatchObject({ plot: "timeline", measure: false, view: page.model.sentOf("view_opened")[0]?.view });
    expect(page.text("#panel-timeline")).toBe("Drawing.");
    told(page, { plot: "timeline", state: "drawn", svg: SVG, text: "Six checkpoints of one run." });
    await until(() => expect(page.has("#panel-timeline svg")).toBe(true));
    expect(page.text("#panel-timeline p")).toBe("Six checkpoints of one run.");
    await shown(page, "table");
    await until(() => expect(page.model.sentOf("select_plot").at(-1)).toMatchObject({ plot: null }));
    expect(page.has("#panel-timeline")).toBe(false);
    await shown(page, "timeline");
    expect(page.has("#panel-timeline svg")).toBe(true);
  });

  it("are a list of tabs that the arrow keys go along", async () => {
    const page = await opened();
    const list = page.one("[role=tablist]");
    expect(list.getAttribute("aria-label")).toBe("Shown as");
    tab(page, "table").focus();
    for (const [key, name] of [
      ["ArrowRight", "timeline"],
      ["End", "drift"],
      ["ArrowRight", "table"],
      ["ArrowLeft", "drift"],
      ["ArrowLeft", "sizes"],
      ["Home", "table"],
    ] as const) {
      page.press(key);
      await until(() => expect(tab(page, name).getAttribute("aria-selected")).toBe("true"));
      expect(page.root.activeElement?.id).toBe(`tab-${name}`);
      expect(page.all("[role=tab]").filter((each) => each.tabIndex === 0)).toEqual([tab(page, name)]);
      const panel = page.one(`#${tab(page, name).getAttribute("aria-controls")}`);
      expect(panel.getAttribute("role")).toBe("tabpanel");
      expect(panel.getAttribute("aria-labelledby")).toBe(`tab-${name}`);
      expect(page.all("[role=tabpanel]").filter((each) => !each.hidden)).toEqual([panel]);
    }
  });

  it("keep the table as it was", async () => {
    const page = await opened();
    page.one("[data-sort=step]").click();
    await until(() => expect(page.has("th[aria-sort]")).toBe(true));
    const ids = page.ids();
    const isFilterSeen = () => page.one("input[type=search]").checkVisibility({ visibilityProperty: true });
    expect(isFilterSeen()).toBe(true);
    await shown(page, "sizes");
    expect(page.one("tr[data-id]").checkVisibility()).toBe(false);
    expect(isFilterSeen()).toBe(false);
    await shown(page, "table");
    expect(isFilterSeen()).toBe(true);
    expect(page.ids()).toEqual(ids);
    expect(page.one("tr[data-id]").checkVisibility()).toBe(true);
  });

  it("come again unasked, and replace what was drawn", async () => {
    const page = await opened();
    await shown(page, "sizes");
    told(page, { plot: "sizes", state: "drawn", svg: SVG });
    await until(() => expect(page.text("#panel-sizes svg")).toBe("Six"));
    told(page, { plot: "sizes", state: "drawn", svg: SVG.replace("Six", "Seven") });
    await until(() => expect(page.text("#panel-sizes svg")).toBe("Seven"));
    expect(page.all("#panel-sizes svg")).toHaveLength(1);
    told(page, { plot: "timeline", state: "drawn", svg: SVG });
    expect(page.text("#panel-sizes svg")).toBe("Seven");
    expect(page.model.sentOf("select_plot")).toHaveLength(1);
  });

  it("say that they wait for a busy kernel, and ask again for what was lost, ever more seldom", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const page = await opened();
    await shown(page, "timeline");
    expect(page.text("#panel-timeline")).toBe("Drawing.");
    vi.advanceTimersByTime(2000);
    await until(() => expect(page.text("#panel-timeline")).toContain("Waiting for the kernel"));
    expect(page.model.sentOf("select_plot")).toHaveLength(1);
    const tick = () => page.model.heartbeat({ seq: 1, now: Date.now(), looked_at: Date.now() });
    const waits = [2, 3, 4].map((count) => {
      let seconds = 0;
      for (; page.model.sentOf("select_plot").length < count && seconds < 60; seconds++) {
        tick();
        vi.advanceTimersByTime(1000);
      }
      return seconds;
    });
    expect(waits).toEqual([4, 11, 21]);
    told(page, { plot: "timeline", state: "drawn", svg: SVG });
    await until(() => expect(page.text("#panel-timeline")).not.toContain("Waiting"));
  });

  it("ask again when other rows came and no other picture did", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const page = await opened();
    await shown(page, "timeline");
    told(page, { plot: "timeline", state: "drawn", svg: SVG });
    const seq = snapshot("checkpoints", 6).seq;
    const rows = [rowOf("checkpoints", 50, {})];
    page.model.change({ base: seq, seq: seq + 1, now: Date.now(), tables: { checkpoints: { rows, removed: [], total: 7 } } });
    await until(() => expect(page.ids()).toHaveLength(7));
    for (let second = 0; second < 6; second++) {
      page.model.heartbeat({ seq: seq + 1, now: Date.now(), looked_at: Date.now() });
      vi.advanceTimersByTime(1000);
    }
    await until(() => expect(page.model.sentOf("select_plot")).toHaveLength(2));
  });

  it("need a kernel, and say so", async () => {
    const page = await opened();
    page.model.disconnect();
    tab(page, "timeline").click();
    await until(() => expect(page.text("#panel-timeline")).toContain("drawn by the kernel, which is not there"));
    expect(page.model.sentOf("select_plot")).toEqual([]);
  });

  it("say in words why there is none", async () => {
    const page = await opened();
    await shown(page, "sizes");
    told(page, { plot: "sizes", state: "failed", text: "No size is known." });
    await until(() => expect(page.text("#panel-sizes .banner")).toBe("Not drawn. No size is known."));
    told(page, { plot: "sizes", state: "drawn", text: "There is nothing to draw." });
    await until(() => expect(page.text("#panel-sizes")).toBe("There is nothing to draw."));
  });

  it("measure drift only for who asks, and say before what that reads", async () => {
    const page = await opened();
    await shown(page, "drift");
    told(page, { plot: "drift", state: "unmeasured", text: "Reads 1 GB.", can_measure: true });
    await until(() => expect(page.text("#panel-drift p")).toBe("Reads 1 GB."));
    expect(page.model.sentOf("select_plot").some(({ measure }) => measure)).toBe(false);
    const button = page.one("#panel-drift button");
    expect(button.textContent).toBe("Measure drift");
    button.click();
    expect(page.model.sentOf("select_plot").at(-1)).toMatchObject({ plot: "drift", measure: true });
    await until(() => expect(page.one<HTMLButtonElement>("#panel-drift button").disabled).toBe(true));
    told(page, { plot: "drift", state: "running", text: "Reads 1 GB." });
    await until(() => expect(page.text("#panel-drift p")).toBe("Measuring. Reads 1 GB."));
    expect(page.has("#panel-drift button")).toBe(false);
    told(page, { plot: "drift", state: "failed", text: "The files are gone.", can_measure: true });
    await until(() => expect(page.text("#panel-drift .banner")).toContain("The files are gone."));
    expect(page.text("#panel-drift button")).toBe("Measure again");
    told(page, { plot: "drift", state: "drawn", svg: SVG, can_measure: true });
    await until(() => expect(page.has("#panel-drift svg")).toBe(true));
    expect(page.has("#panel-drift .banner")).toBe(false);
  });

  it("offer no measuring where there is nothing to measure", async () => {
    const page = await opened();
    await shown(page, "drift");
    told(page, { plot: "drift", state: "unmeasured", text: "It takes two." });
    await until(() => expect(page.text("#panel-drift")).toBe("It takes two."));
    expect(page.has("#panel-drift button")).toBe(false);
  });
});

/** What anywidget gives to a widget, for a page on which one other widget is. */
class OtherWidget {
  readonly asked: string[] = [];
  readonly views = new Set<HTMLElement>();
  isThere = true;

  readonly host: Host = {
    getModel: () => Promise.reject(new Error("the page asks for no other model")),
    getWidget: <T>(ref: string) => {
      this.asked.push(ref);
      if (!this.isThere) return Promise.reject(new Error("widget model not found"));
      const render = async ({ el, signal }: { el: HTMLElement; signal?: AbortSignal }) => {
        el.textContent = "curves of their own";
        this.views.add(el);
        signal?.addEventListener("abort", () => this.views.delete(el));
      };
      return Promise.resolve({ exports: undefined as T, render });
    },
  };
}

const WORDS = "Type in a cell: %loops curves r1";

describe("the curves of a run", () => {
  it("are the view of another widget, for as long as the tab is shown", async () => {
    const other = new OtherWidget();
    const page = await opened("run", other.host);
    expect(other.asked).toEqual([]);
    for (const times of [1, 2]) {
      await shown(page, "curves");
      told(page, { plot: "curves", state: "drawn", widget: "w1", text: WORDS });
      await until(() => expect(page.text("#panel-curves")).toBe("curves of their own"));
      expect(other.asked).toEqual(Array(times).fill("anywidget:w1"));
      expect(other.views.size).toBe(1);
      await shown(page, "table");
      await until(() => expect(page.model.sentOf("select_plot").at(-1)).toMatchObject({ plot: null }));
      expect(other.views.size).toBe(0);
    }
  });

  it("stay when the same widget is named again, and make room for another one", async () => {
    const other = new OtherWidget();
    const page = await opened("run", other.host);
    await shown(page, "curves");
    for (const widget of ["w1", "w1", "w2"]) {
      told(page, { plot: "curves", state: "drawn", widget, text: WORDS });
      await until(() => expect(other.asked.at(-1)).toBe(`anywidget:${widget}`));
    }
    await until(() => expect(other.views.size).toBe(1));
    expect(other.asked).toEqual(["anywidget:w1", "anywidget:w2"]);
  });

  it("stay without a word of their own when the kernel goes: the panel says that for both", async () => {
    const other = new OtherWidget();
    const page = await opened("run", other.host);
    await shown(page, "curves");
    told(page, { plot: "curves", state: "drawn", widget: "w1", text: WORDS });
    await until(() => expect(other.views.size).toBe(1));
    page.model.disconnect();
    await until(() => expect(page.has("[data-health]")).toBe(true));
    expect(page.text("#panel-curves")).toBe("curves of their own");
    await shown(page, "table");
    tab(page, "curves").click();
    await until(() => expect(page.text("#panel-curves")).toBe("curves of their own"));
  });

  it("end with the panel that they stand in", async () => {
    const other = new OtherWidget();
    const page = await opened("run", other.host);
    await shown(page, "curves");
    told(page, { plot: "curves", state: "drawn", widget: "w1", text: WORDS });
    await until(() => expect(other.views.size).toBe(1));
    page.close();
    await until(() => expect(other.views.size).toBe(0));
  });

  it.each(["no host", "no such widget"])("say what to type where a page can show none: %s", async (why) => {
    const other = new OtherWidget();
    other.isThere = false;
    const page = await opened("run", why === "no host" ? undefined : other.host);
    await shown(page, "curves");
    told(page, { plot: "curves", state: "drawn", widget: "w1", text: WORDS });
    await until(() => expect(page.text("#panel-curves")).toBe(WORDS));
  });

  it("say in words what went wrong, and need a kernel", async () => {
    const page = await opened("run", new OtherWidget().host);
    await shown(page, "curves");
    expect(page.text("#panel-curves")).toBe("Drawing.");
    told(page, { plot: "curves", state: "failed", text: "The file is of a newer version." });
    await until(() => expect(page.text("#panel-curves .banner")).toBe("Not drawn. The file is of a newer version."));
    await shown(page, "table");
    page.model.disconnect();
    tab(page, "curves").click();
    await until(() => expect(page.text("#panel-curves")).toContain("drawn by the kernel, which is not there"));
  });

  it("are not waited for when other rows come", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const page = await opened("run", new OtherWidget().host);
    await shown(page, "curves");
    told(page, { plot: "curves", state: "drawn", widget: "w1", text: WORDS });
    const seq = snapshot("run", 6).seq;
    const rows = [rowOf("checkpoints", 50, {})];
    page.model.change({ base: seq, seq: seq + 1, now: Date.now(), tables: { checkpoints: { rows, removed: [], total: 7 } } });
    await until(() => expect(page.ids()).toHaveLength(7));
    for (let second = 0; second < 8; second++) {
      page.model.heartbeat({ seq: seq + 1, now: Date.now(), looked_at: Date.now() });
      vi.advanceTimersByTime(1000);
    }
    expect(page.model.sentOf("select_plot")).toHaveLength(1);
    expect(page.text("#panel-curves")).not.toContain("Waiting");
  });
});

describe("a drawing", () => {
  it("is taken in without anything that acts, or that asks another host", () => {
    const svg = pictureOf(
      `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()">
        <script>x()</script><foreignObject><div xmlns="http://www.w3.org/1999/xhtml" onclick="x()">a</div></foreignObject>
        <set attributeName="onclick" to="x()"/><animate attributeName="href" to="javascript:x()"/>
        <a href="javascript:x()"><text OnClick="x()">b</text></a><use href="#own"/><use xlink:href="https://example.com/x.svg#y"/>
        <image href="https://example.com/x.png"/><image href="data:image/svg+xml;base64,AAAA"/>
        <image href="data:image/png;base64,AAAA"/><use href="data:image/png;base64,AAAA"/><title>&lt;img src=x onerror=x()&gt;</title></svg>`,
    );
    const left = [...(svg as Element).querySelectorAll("*")].map((element) => element.localName);
    expect(left).toEqual(["a", "text", "use", "use", "image", "image", "image", "use", "title"]);
    const attributes = [svg as Element, ...(svg as Element).querySelectorAll("*")].flatMap((element) => [...element.attributes]);
    expect(attributes.filter(({ name }) => !name.startsWith("xmlns")).map(({ name, value }) => [name, value])).toEqual([
      ["href", "#own"],
      ["href", "data:image/png;base64,AAAA"],
    ]);
    expect(svg?.querySelector("title")?.textContent).toBe("<img src=x onerror=x()>");
  });

  it.each(["", "no picture", "<svg", "<div xmlns='http://www.w3.org/1999/xhtml'/>", "<svg xmlns='http://www.w3.org/2000/svg'><g></svg>"])(
    "is nothing when it is no picture: %s",
    (text) => expect(pictureOf(text)).toBeNull(),
  );
});
