import type { Host } from "@anywidget/types";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { userEvent, page as viewport } from "vitest/browser";
import type { PanelSnapshot } from "../src/contract";
import widget from "../src/dashboard/index";
import { closeAll, Page, shifted } from "./page";
import { rowOf, snapshot } from "./sample";
import { THEMES } from "./themes";

const CURVES: PanelSnapshot["curves"] = {
  type: "plot",
  plot: "curves",
  state: "drawn",
  widget: "w1",
  text: "This page shows no panel inside of another. For the curves, type in a cell: %loops curves",
};
const until = vi.waitFor;

afterEach(() => {
  closeAll();
  vi.restoreAllMocks();
  document.body.removeAttribute("style");
});

async function dashboard({ host, ...over }: Partial<PanelSnapshot> & { host?: Host } = {}): Promise<Page> {
  const page = new Page(shifted(snapshot("dashboard", 6, { curves: CURVES, ...over })), { widget, host });
  await until(() => expect(page.has('[data-table="checkpoints"] tr[data-id]')).toBe(true));
  // The snapshot of the kernel is drawn, not only that of the widget.
  page.model.change({ base: 1, seq: 2, now: Date.now(), facts: [{ label: "drawn", value: "now", tone: null, code: "" }] });
  await until(() => expect(page.has('[data-fact="drawn"]')).toBe(true));
  return page;
}

const parts = (page: Page) => page.all("[data-part]").filter((part) => !part.hidden).length;
const select = (page: Page, index: number) => page.all<HTMLInputElement>("[data-control=select]")[index] as HTMLInputElement;
const selected = (page: Page) => page.all<HTMLInputElement>("[data-control=select]:checked").map((box) => box.closest("tr")?.dataset.id);
const sent = (page: Page) => page.model.sent.filter((message) => message.type === "select_runs").map(({ ids }) => ids);

describe("a dashboard", () => {
  it("shows everything together, and with the arrow keys one part after the other", async () => {
    const shown: string[] = [];
    const host = { getWidget: async (name: string) => ({ render: async () => shown.push(name) }) } as unknown as Host;
    const page = await dashboard({ host });
    await until(() => expect(shown).toEqual(["anywidget:w1"]));
    expect(parts(page)).toBe(4);
    page.one("#tab-overview").focus();
    await userEvent.keyboard("{ArrowRight}{ArrowRight}");
    await until(() => expect(page.one("#tab-curves").ariaSelected).toBe("true"));
    expect(page.root.activeElement).toBe(page.one("#tab-curves"));
    expect(page.one("#panel-parts").getAttribute("aria-labelledby")).toBe("tab-curves");
    expect(
      page
        .all("[data-part]")
        .filter((part) => !part.hidden)
        .map((part) => part.dataset.part),
    ).toEqual(["curves"]);
    await userEvent.keyboard("{End}{ArrowRight}");
    await until(() => expect(parts(page)).toBe(4));
    // The widget in it lives on while it is hidden.
    expect(shown).toEqual(["anywidget:w1"]);
  });

  it("says what to type where a page embeds no widgets, and why there are no curves", async () => {
    const page = await dashboard();
    await until(() => expect(page.text('[data-part="curves"]')).toContain("%loops curves"));
    const other = await dashboard({ curves: { type: "plot", plot: "curves", state: "failed", text: "The store is damaged." } });
    expect(other.text('[data-part="curves"]')).toBe("The store is damaged.");
  });

  it("is narrowed by boxes and by clicks on rows, at once here and as the kernel confirms it", async () => {
    const page = await dashboard();
    const [first, second] = page.all('[data-table="runs"] tr[data-id]').map((row) => row.dataset.id as string) as [string, string];
    select(page, 0).click();
    await until(() => expect(selected(page)).toEqual([first]));
    expect(page.text(".selected-runs")).toContain(`Curves and checkpoints of run ${first}.`);
    await until(() => expect(page.text(".selected-runs")).toContain("Queued: the kernel is busy"), { timeout: 3000 });
    page.model.change({ base: 2, seq: 3, now: Date.now(), selected_runs: [first] });
    await until(() => expect(page.text(".selected-runs")).not.toContain("Queued"));
    select(page, 1).click();
    page.model.change({ base: 3, seq: 4, now: Date.now(), selected_runs: [first, second] });
    await until(() => expect(selected(page)).toEqual([first, second]));
    expect(page.text(".selected-runs")).toContain("of 2 runs");
    page.one(`[data-table="runs"] tr[data-id="${second}"] [data-column=status]`).click();
    page.one(`[data-table="checkpoints"] tr[data-id] [data-column=checkpoint_id]`).click();
    await until(() => expect(selected(page)).toEqual([second]));
    expect(page.has('[data-table="checkpoints"] .details')).toBe(true);
    page.model.change({ base: 4, seq: 5, now: Date.now(), selected_runs: [second] });
    page.one("[data-control=all-runs]").click();
    await until(() => expect(selected(page)).toEqual([]));
    expect(sent(page)).toEqual([[first], [first, second], [second], []]);
  });

  it("names the run of each checkpoint unless one is selected", async () => {
    const page = await dashboard();
    expect(page.has('[data-table="checkpoints"] [data-column=run_id]')).toBe(true);
    page.model.change({ base: 2, seq: 3, now: Date.now(), selected_runs: ["k4q95w5"] });
    await until(() => expect(page.has('[data-table="checkpoints"] [data-column=run_id]')).toBe(false));
  });

  it("keeps its other parts when one cannot be drawn", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const page = await dashboard();
    const broken = {
      toString: () => {
        throw new Error("made by a test");
      },
    };
    const row = rowOf("deployments", 50).map((cell, i) => (i === 1 ? (broken as never) : cell)) as [];
    vi.spyOn(globalThis, "structuredClone").mockImplementation((value) => value);
    page.model.change({ base: 2, seq: 3, now: Date.now(), tables: { deployments: { rows: [row], removed: [], total: 7 } } });
    await until(() =>
      expect(page.text('[data-part^="samplers"]')).toContain("cannot be drawn. Error: made by a test The other parts go on."),
    );
    expect(page.has('[data-table="runs"] tr[data-id]')).toBe(true);
  });

  it.each(["light", "dark"] as const)("axe finds nothing in the theme %s", async (theme) => {
    await viewport.viewport(1100, 2000);
    document.documentElement.lang = "en";
    document.title = "dashboard";
    for (const [name, value] of Object.entries(THEMES[theme])) document.body.style.setProperty(name, value);
    document.body.style.background = "var(--jp-layout-color0)";
    const page = await dashboard({ selected_runs: [String(snapshot("dashboard", 6).tables.runs?.rows[0]?.[0])] });
    expect(selected(page)).toHaveLength(1);
    for (const animation of page.root.getAnimations()) animation.cancel();
    const { violations } = await axe.run(page.el, { rules: { region: { enabled: false }, "heading-order": { enabled: false } } });
    expect(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.html} ${node.failureSummary}`))).toEqual([]);
  });
});
