import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { page as viewport } from "vitest/browser";
import bundle from "../../loops_nb/static/panels.js?raw";
import { type PanelSnapshot, TONES, type ViewName } from "../src/contract";
import { closeAll, Page, shifted } from "./page";
import { FAILING, NOTICES, rowOf, snapshot } from "./sample";
import { THEMES } from "./themes";

const VIEWS: ViewName[] = ["fleet", "run", "samplers", "deployments", "checkpoints"];
const THEME_NAMES = ["light", "dark", "none"] as const;

function dress(theme: (typeof THEME_NAMES)[number]): void {
  document.documentElement.lang = "en";
  document.title = "panels";
  document.body.removeAttribute("style");
  if (theme === "none") return;
  for (const [name, value] of Object.entries(THEMES[theme])) document.body.style.setProperty(name, value);
  document.body.style.background = "var(--jp-layout-color0)";
}

async function complaints(page: Page): Promise<string[]> {
  // Colours on their way are of no colour yet.
  for (const animation of page.root.getAnimations()) animation.cancel();
  // What is scrolled out of sight cannot be judged.
  for (const box of page.all(".box")) box.style.maxHeight = "none";
  const found = await axe.run(page.el, { elementRef: true, rules: { region: { enabled: false }, "heading-order": { enabled: false } } });
  // What it could not judge is not judged good.
  const contrast = found.incomplete.filter(({ id }) => id === "color-contrast");
  const unsure = contrast.map((rule) => ({ ...rule, nodes: rule.nodes.filter((node) => !isOnTop(page, node.element as Element)) }));
  expect(found.passes.find(({ id }) => id === "color-contrast")?.nodes.length).toBeGreaterThan(5);
  return [...found.violations, ...unsure].flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 200)} ${node.failureSummary}`),
  );
}

/** Axe thinks some texts covered that are not: the browser knows better. */
function isOnTop(page: Page, element: Element): boolean {
  element.scrollIntoView({ block: "center" });
  const { left, top, width, height } = element.getBoundingClientRect();
  return page.root.elementFromPoint(left + width / 2, top + height / 2) === element;
}

beforeEach(async () => {
  await viewport.viewport(1100, 2000);
  dress("none");
});
afterEach(() => {
  closeAll();
  document.body.removeAttribute("style");
});

describe.each(THEME_NAMES)("in the theme %s", (theme) => {
  it.each(VIEWS)("axe finds nothing in %s, unfolded, with notices, failing", async (view) => {
    dress(theme);
    const page = new Page(shifted(snapshot(view, 9, { notices: NOTICES, health: FAILING })));
    await vi.waitFor(() => expect(page.has(".fold")).toBe(true));
    for (const fold of page.all(".fold").slice(0, 2)) fold.click();
    if (page.has("details")) page.one<HTMLDetailsElement>("details").open = true;
    await vi.waitFor(() => expect(page.all(".details")).toHaveLength(2));
    expect(await complaints(page)).toEqual([]);
  });

  it("axe finds nothing in the question of a deployment, nor in the lines that call it", async () => {
    dress(theme);
    const page = new Page(shifted(snapshot("checkpoints", 4)));
    await vi.waitFor(() => expect(page.has(".fold")).toBe(true));
    const row = page.all("tr[data-id]").find((each) => each.querySelector("[data-column=target]")?.textContent === "sampler");
    row?.querySelector<HTMLElement>("[data-control=menu]")?.click();
    await vi.waitFor(() => expect(page.has("[role=menu]")).toBe(true));
    page.choose("Deploy…");
    await vi.waitFor(() => expect(page.has("[data-ending=plan]")).toBe(true));
    const [order] = page.model.sentOf("command");
    if (!order) throw new Error("no plan was asked for");
    const { id, target } = order;
    const told = { id, table: "checkpoints", target, state: "done", text: "Deploy it?", hint: "It is billed.", code: "" } as const;
    const plan = { name: "step-8000", taken: [], hardware: [{ id: "h1", name: "H100", price: "$6.67 an hour" }] };
    page.model.change({ base: 1, seq: 2, now: Date.now(), commands: [{ ...told, what: "plan_deployment", plan }] });
    await vi.waitFor(() => expect(page.has("[data-control=hardware]")).toBe(true));
    expect(await complaints(page)).toEqual([]);
    const select = page.one<HTMLSelectElement>("[data-control=hardware]");
    select.value = "h1";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await vi.waitFor(() => expect(page.one<HTMLButtonElement>("[data-control=deploy]").disabled).toBe(false));
    page.one("[data-control=deploy]").click();
    await vi.waitFor(() => expect(page.has("[data-ending=sent]")).toBe(true));
    page.model.change({
      base: 2,
      seq: 3,
      now: Date.now(),
      commands: [{ ...told, what: "deploy", code: "import os\nimport openai", plan: null }],
    });
    await vi.waitFor(() => expect(page.has("[data-ending=done] pre")).toBe(true));
    expect(await complaints(page)).toEqual([]);
  });

  it("axe finds nothing in a menu, in a question, nor where nothing is", async () => {
    dress(theme);
    const page = new Page(shifted(snapshot("fleet", 4)));
    await vi.waitFor(() => expect(page.has(".fold")).toBe(true));
    page.one("tbody [data-control=menu]").click();
    await vi.waitFor(() => expect(page.has("[role=menu]")).toBe(true));
    expect(await complaints(page)).toEqual([]);
    page.choose("Deactivate…");
    await vi.waitFor(() => expect(page.has("[data-ending=ask]")).toBe(true));
    expect(await complaints(page)).toEqual([]);
    page.filter("nothing like this");
    await vi.waitFor(() => expect(page.has("[data-empty]")).toBe(true));
    expect(await complaints(page)).toEqual([]);
  });

  it("every state can be read, on every ground a row has", async () => {
    dress(theme);
    const states = [...Object.keys(TONES), "UNHEARD_OF"];
    const rows = states.map((status, i) => rowOf("samplers", i, { id: `s${i}`, status, finished: false }));
    const page = new Page(shifted(snapshot("samplers", 0, { tables: { samplers: { rows, total: rows.length } } })));
    await vi.waitFor(() => expect(page.ids()).toHaveLength(states.length));
    // As if the mouse were on every row.
    for (const ground of ["", "var(--hover)", "var(--zebra)"]) {
      for (const cell of page.all(".row > td")) cell.style.background = ground;
      expect(await complaints(page)).toEqual([]);
    }
    for (const chip of page.all(".chip")) {
      expect(chip.querySelector("svg")).not.toBeNull();
      expect(chip.textContent).not.toBe("");
    }
  });
});

it("can be read in the dark theme of VS Code, which puts a white ground below widgets", async () => {
  document.documentElement.lang = "en";
  document.title = "panels";
  document.body.dataset.vscodeThemeKind = "vscode-dark";
  for (const [name, value] of Object.entries(THEMES.vscode)) document.body.style.setProperty(name, value);
  const page = new Page(shifted(snapshot("run", 9, { notices: NOTICES, health: FAILING })));
  // As the page around a widget does there.
  page.el.className = "cell-output-ipywidget-background";
  page.el.style.background = "white";
  await vi.waitFor(() => expect(page.has(".fold")).toBe(true));
  page.one(".fold").click();
  await vi.waitFor(() => expect(page.all(".details")).toHaveLength(1));
  expect(await complaints(page)).toEqual([]);
  expect(page.host.style.colorScheme).toBe("dark");
  delete document.body.dataset.vscodeThemeKind;
});

it("tells the browser which theme it stands in", async () => {
  dress("dark");
  const page = new Page(shifted(snapshot("fleet")));
  expect(page.host.style.colorScheme).toBe("dark");
  dress("light");
  await vi.waitFor(() => expect(page.host.style.colorScheme).toBe("light"));
  dress("none");
  await vi.waitFor(() => expect(page.host.style.colorScheme).toBe("light dark"));
});

describe("the bundle", () => {
  it("is at most 75 KB", () => {
    expect(new TextEncoder().encode(bundle).length).toBeLessThanOrEqual(75_000);
  });

  it("asks no host for anything, and makes no code out of text", () => {
    // Names of XML dialects are no addresses.
    const addresses = (bundle.match(/https?:\/\/[^"'`\s)]+/g) ?? []).filter((address) => !address.startsWith("http://www.w3.org/"));
    expect(addresses).toEqual([]);
    expect(bundle).not.toMatch(/\beval\(|new Function\(|\bimport\(|\bfetch\(|XMLHttpRequest|@import|url\(/);
    expect(bundle).not.toMatch(/\bdefine\.amd/);
  });

  it("is a module that works by itself", async () => {
    const url = URL.createObjectURL(new Blob([bundle], { type: "text/javascript" }));
    const { default: widget } = await import(/* @vite-ignore */ url);
    URL.revokeObjectURL(url);
    const { MockModel } = await import("./mock");
    const el = document.createElement("div");
    document.body.append(el);
    const given: PanelSnapshot = shifted(snapshot("fleet"));
    const { initialize, render } = widget();
    const mock = new MockModel(given);
    const ends = [initialize({ model: mock.model }), render({ model: mock.model, el })];
    await vi.waitFor(() => expect(el.firstElementChild?.shadowRoot?.querySelectorAll("tr[data-id]").length).toBeGreaterThan(5));
    for (const end of ends) end();
    expect(el.childElementCount).toBe(0);
    el.remove();
  });
});
