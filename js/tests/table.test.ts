import { afterEach, describe, expect, it, vi } from "vitest";
import { userEvent } from "vitest/browser";
import { COLUMNS, type CommandStatus, type PanelChange } from "../src/contract";
import { closeAll, Page, shifted } from "./page";
import { rowOf, snapshot, tableOf } from "./sample";

afterEach(() => {
  closeAll();
  vi.restoreAllMocks();
});

const until = vi.waitFor;

async function opened(
  count = 12,
  view: "fleet" | "samplers" | "deployments" | "checkpoints" | "run" = "deployments",
  width = 1000,
): Promise<Page> {
  const page = new Page(shifted(snapshot(view, count)), { width });
  await until(() => expect(page.has("tr[data-id]")).toBe(true));
  return page;
}

function changeOf(page: Page, rows: PanelChange["tables"], seq = 2): void {
  page.model.change({ base: seq - 1, seq, now: Date.now(), tables: rows ?? {} });
}

describe("sorting", () => {
  it("is newest first, and by every heading both ways, told to screen readers", async () => {
    const page = await opened(12, "checkpoints");
    const steps = () => page.all("td[data-column=step]").map((cell) => Number(cell.textContent?.replace(",", "")));
    expect(steps()).toEqual([...steps()].sort((a, b) => b - a));
    expect(page.one("th:has([data-sort=created_at])").getAttribute("aria-sort")).toBe("ascending");
    page.one("[data-sort=step]").click();
    await until(() => expect(page.one("th:has([data-sort=step])").getAttribute("aria-sort")).toBe("descending"));
    page.one("[data-sort=step]").click();
    await until(() => expect(steps()).toEqual([...steps()].sort((a, b) => a - b)));
    expect(page.all("[aria-sort]")).toHaveLength(1);
  });
});

describe("runs", () => {
  it("have the numbers that were recorded of them, and the owner of all is said in a line", async () => {
    const page = await opened(6, "fleet");
    expect(page.has("[data-table=runs] [data-owner]")).toBe(false);
    const rows = tableOf("runs", 6).rows;
    const own = COLUMNS.runs.findIndex((column) => column.name === "owner");
    const given = snapshot("fleet", 0, {
      tables: { runs: { rows: rows.map((row) => row.with(own, "mia@example.org") as typeof row), total: 6 } },
    });
    const other = new Page(shifted(given), { width: 1600 });
    await until(() => expect(other.text("[data-table=runs] [data-owner]")).toBe("Owner of all: mia@example.org"));
    expect(other.all("[data-sort=owner]")).toHaveLength(0);
    expect(other.has("td[data-column=spark] svg path")).toBe(true);
    expect(other.text("td[data-column=last_value]")).toMatch(/^[\d.]+$|–/);
  });
});

describe("checkpoints", () => {
  it("say when they vanish, where one of them has a lifetime", async () => {
    const page = await opened(3, "checkpoints", 1400);
    expect(page.has("[data-sort=expires_at]")).toBe(false);
    changeOf(page, {
      checkpoints: { rows: [rowOf("checkpoints", 0, { expires_at: Date.now() + 3.5 * 86_400_000 })], removed: [], total: 3 },
    });
    await until(() => expect(page.all("td[data-column=expires_at]").map((cell) => cell.textContent)).toEqual(["–", "–", "in 3 d"]));
    page.one("[data-sort=expires_at]").click();
    await until(() => expect(page.one("th:has([data-sort=expires_at])").getAttribute("aria-sort")).toBe("ascending"));
  });
});

describe("finished things", () => {
  it("are hidden with their number, and shown at a press", async () => {
    const page = await opened(14, "fleet");
    expect(page.text("[data-table=runs] [data-count]")).toBe("8 · 6 finished hidden");
    expect(page.text(".tools")).toContain("Hide finished (6)");
    page.one("[data-control=hide]").click();
    await until(() => expect(page.text("[data-table=runs] [data-count]")).toBe("14"));
  });

  it("are shown when everything is finished, and the user's choice outlives an update", async () => {
    const rows = tableOf("deployments", 14).rows.filter((row) => row.at(-1) === true);
    const given = snapshot("deployments", 0, { tables: { deployments: { rows, total: rows.length } } });
    const page = new Page(shifted(given));
    await until(() => expect(page.ids()).toHaveLength(rows.length));
    page.one("[data-control=hide]").click();
    await until(() => expect(page.text("[data-empty]")).toContain(`${rows.length} finished ones are hidden`));
    changeOf(page, { deployments: { rows: [rowOf("deployments", 0, { id: "fresh" })], removed: [], total: rows.length + 1 } });
    await until(() => expect(page.ids()).toEqual(["fresh"]));
  });

  it("stay while their details are open", async () => {
    const page = await opened(3);
    const [id = ""] = page.ids();
    page.one(`tr[data-id="${id}"] .fold`).click();
    await until(() => expect(page.has(`[data-below="${id}"]`)).toBe(true));
    changeOf(page, { deployments: { rows: [rowOf("deployments", 0, { status: "STOPPED", finished: true })], removed: [], total: 3 } });
    await until(() => expect(page.text(`tr[data-id="${id}"]`)).toContain("Stopped"));
    page.one(`tr[data-id="${id}"] .fold`).click();
    await until(() => expect(page.ids()).not.toContain(id));
  });
});

describe("an update", () => {
  it("keeps the filter, the caret in it, and what is selected", async () => {
    const page = await opened(12);
    const field = page.one<HTMLInputElement>("input[type=search]");
    await userEvent.type(field, "kimi");
    await until(() => expect(page.text("[data-count]")).toContain("match"));
    const ids = page.ids();
    const cell = page.one("td[data-column=id] span");
    getSelection()?.selectAllChildren(cell);
    field.focus();
    field.setSelectionRange(1, 3);
    changeOf(page, { deployments: { rows: [rowOf("deployments", 0, { gpus: 77 })], removed: [], total: 12 } });
    await until(() => expect(page.model.sentOf("resync")).toHaveLength(0));
    expect(page.root.activeElement).toBe(field);
    expect([field.value, field.selectionStart, field.selectionEnd]).toEqual(["kimi", 1, 3]);
    expect(page.ids()).toEqual(ids);
    expect(page.one("td[data-column=id] span")).toBe(cell);
  });

  it("keeps the focus on a row's button, and the place in a long table, when rows come above", async () => {
    const page = await opened(400, "samplers");
    const box = page.one(".box");
    box.scrollTop = 3000;
    box.dispatchEvent(new Event("scroll"));
    const at = () => {
      const edge = box.getBoundingClientRect().top + 31;
      return page.all("tr[data-id]").find((row) => row.getBoundingClientRect().bottom > edge)?.dataset.id;
    };
    await until(() => expect(at()).toBeDefined());
    const before = at();
    const button = page.one(`tr[data-id="${before}"] .fold`);
    button.focus();
    const rows = Array.from({ length: 5 }, (_, i) => rowOf("samplers", i * 5, { id: `new${i}`, created_at: Date.now() + i }));
    changeOf(page, { samplers: { rows, removed: [], total: 405 } });
    await until(() => expect(page.text("[data-count]")).toMatch(/^245/));
    await until(() => expect(box.scrollTop).toBeGreaterThan(3000));
    expect(at()).toBe(before);
    expect(page.root.activeElement).toBe(button);
  });
});

describe("a long table", () => {
  it("is drawn only where one looks, and says how long it is", async () => {
    const page = await opened(10_000, "checkpoints");
    expect(page.ids().length).toBeLessThan(60);
    expect(page.one("table").getAttribute("aria-rowcount")).toBe("10001");
    expect(page.one("tr[data-id]").getAttribute("aria-rowindex")).toBe("2");
    const box = page.one(".box");
    expect(box.scrollHeight).toBeGreaterThan(299_000);
    box.scrollTop = 150_000;
    await until(() => expect(page.one("tr[data-id]").getAttribute("aria-rowindex")).toMatch(/^49\d\d$/));
    const edge = box.getBoundingClientRect();
    const covering = page
      .all("tr[data-id]")
      .filter((row) => row.getBoundingClientRect().top < edge.bottom && row.getBoundingClientRect().bottom > edge.top);
    expect(covering.length).toBeGreaterThanOrEqual(Math.floor(edge.height / 30));
  });

  it("is reached by the keyboard from end to end, and keeps the focused row", async () => {
    const page = await opened(1000, "checkpoints");
    page.one(".fold").focus();
    await userEvent.keyboard("{End}");
    await until(() => expect(page.root.activeElement?.closest("tr")?.getAttribute("aria-rowindex")).toBe("1001"));
    await userEvent.keyboard("{ArrowUp}{ArrowRight}");
    await until(() => expect(page.root.activeElement?.closest("tr")?.getAttribute("aria-rowindex")).toBe("1000"));
    expect((page.root.activeElement as HTMLElement).dataset.control).toBe("copy");
    const focused = page.root.activeElement;
    page.one(".box").scrollTop = 0;
    await until(() => expect(page.has("tr[aria-rowindex='2']")).toBe(true));
    expect(page.root.activeElement).toBe(focused);
    await userEvent.keyboard("{Home}");
    await until(() => expect(page.root.activeElement?.closest("tr")?.getAttribute("aria-rowindex")).toBe("2"));
    // One stop for the Tab key in all rows.
    expect(page.all(".fold[tabindex='0']")).toHaveLength(1);
  });

  it("has room for what is unfolded", async () => {
    const page = await opened(1000, "checkpoints");
    const before = page.one(".box").scrollHeight;
    page.one(".fold").click();
    await until(() => expect(page.one(".box").scrollHeight).toBeGreaterThan(before + 100));
    page.one(".box").scrollTop = 9000;
    await until(() => expect(page.has("[data-below]")).toBe(false));
    expect(page.one(".box").scrollHeight).toBeGreaterThan(before + 100);
  });
});

describe("little room", () => {
  it.each([360, 400, 700, 1000, 1600])("at %i px nothing sticks out, and the details have the rest", async (width) => {
    for (const view of ["fleet", "run", "deployments"] as const) {
      const page = await opened(4, view, width);
      await until(() => expect(page.one(".box").clientWidth).toBeLessThan(width));
      expect(page.one(".box").scrollWidth).toBeLessThanOrEqual(page.one(".box").clientWidth);
      expect(page.one("section").scrollWidth).toBeLessThanOrEqual(width);
      page.one(".fold").click();
      await until(() => expect(page.has(".details")).toBe(true));
      expect(page.text(".details")).toContain(view === "run" ? "bt://" : "Created");
      page.close();
    }
  });

  it("shows more columns where there is more room", async () => {
    const counts: number[] = [];
    for (const width of [400, 700, 1000, 1600]) {
      const page = await opened(4, "fleet", width);
      await until(() => expect(page.all("[data-table=runs] th").length).toBeGreaterThan(0));
      counts.push(page.all("[data-table=runs] th").length);
      page.close();
    }
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(new Set(counts).size).toBe(4);
  });
});

describe("a row's menu", () => {
  it("copies, and is worked by the keyboard", async () => {
    const write = vi.spyOn(navigator.clipboard, "writeText").mockResolvedValue();
    const page = await opened(3, "checkpoints");
    const button = page.one("tbody [data-control=menu]");
    button.focus();
    await userEvent.keyboard("{Enter}");
    await until(() => expect(page.root.activeElement?.textContent).toMatch(/^Copy id/));
    await userEvent.keyboard("{End}");
    expect(page.root.activeElement?.textContent).toBe("Delete…");
    await userEvent.keyboard("{ArrowDown}{ArrowDown}");
    expect(page.root.activeElement?.textContent).toMatch(/^Copy URI/);
    await userEvent.keyboard("{Enter}");
    expect(write).toHaveBeenCalledWith("bt://loops:k4q95w5/weights/step-8000");
    await until(() => expect(page.has("[role=menu]")).toBe(false));
    expect(page.root.activeElement).toBe(button);
    await until(() => expect(page.all("[role=status]").at(-1)?.textContent).toBe("Copied"));
    await userEvent.keyboard("{Enter}");
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    await userEvent.keyboard("{Escape}");
    await until(() => expect(page.has("[role=menu]")).toBe(false));
    expect(page.root.activeElement).toBe(button);
  });

  it("gives a text to copy by hand where the clipboard is out of reach", async () => {
    vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new Error("not allowed"));
    const page = await opened(3, "checkpoints");
    page.one("tbody .copy").click();
    await until(() => expect(page.has("[data-control=by-hand]")).toBe(true));
    const field = page.one<HTMLInputElement>("[data-control=by-hand]");
    await until(() => expect(field.selectionEnd).toBe(field.value.length));
    expect(field.value).toBe("bt://loops:k4q95w5/weights/step-8000");
  });

  it("closes on a press elsewhere", async () => {
    const page = await opened(3);
    await userEvent.click(page.one("tbody [data-control=menu]"));
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    await userEvent.click(page.one("h3"));
    await until(() => expect(page.has("[role=menu]")).toBe(false));
  });
});

describe("deactivating and deleting", () => {
  async function asked(page: Page, id: string): Promise<void> {
    page.menu(id);
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    page.choose("Deactivate…");
    await until(() => expect(page.has("[data-ending=ask]")).toBe(true));
  }

  function act(page: Page, over: Partial<CommandStatus>, seq: number): void {
    const order = page.model.sentOf("command")[0];
    if (!order) throw new Error("nothing was ordered");
    const told: CommandStatus = {
      id: order.id,
      what: "deactivate",
      table: order.table,
      target: order.target,
      state: "running",
      text: "",
      hint: "",
      code: "",
      plan: null,
      ...over,
    };
    page.model.change({ base: seq - 1, seq, now: Date.now(), commands: [told] });
  }

  it("asks twice, names the thing, and sends nothing when one keeps it", async () => {
    const page = await opened(3);
    const [id = ""] = page.ids();
    await asked(page, id);
    expect(page.text("[data-ending]")).toContain(`Deactivate deployment ${id}?`);
    expect(page.text("[data-ending]")).toContain("Checkpoints stay.");
    await until(() => expect(page.root.activeElement?.textContent).toBe("Keep it"));
    await userEvent.keyboard("{Escape}");
    await until(() => expect(page.has("[data-ending]")).toBe(false));
    await until(() => expect((page.root.activeElement as HTMLElement).dataset.control).toBe("menu"));
    expect(page.model.sentOf("command")).toEqual([]);
  });

  it("is queued while the kernel is busy, then doing, then done", async () => {
    const page = await opened(3);
    const [id = ""] = page.ids();
    await asked(page, id);
    page.one("[data-control=deactivate]").focus();
    await userEvent.keyboard("{Enter}");
    await until(() => expect(page.root.activeElement).toBe(page.one("[data-ending]")));
    const [order] = page.model.sentOf("command");
    expect(order).toMatchObject({ type: "command", what: "deactivate", table: "deployments", target: id });
    expect(order?.id).toMatch(/^[0-9-]+\.[0-9e-]+$/);
    await until(() => expect(page.has("[data-ending=sent]")).toBe(true));
    await until(() => expect(page.text("[data-ending=queued]")).toContain("Queued: the kernel is busy. It is sent when the cell ends."), {
      timeout: 3000,
    });
    act(page, {}, 2);
    await until(() => expect(page.has("[data-ending=running]")).toBe(true));
    act(page, { state: "done", text: "It ended; 3 checkpoints stay." }, 3);
    await until(() => expect(page.text("[data-ending=done]")).toContain("It ended; 3 checkpoints stay."));
    await userEvent.keyboard("{Tab}");
    expect(page.root.activeElement).toBe(page.one("[data-ending] [data-control=close]"));
    await userEvent.keyboard("{Enter}");
    await until(() => expect(page.has("[data-ending]")).toBe(false));
    expect(page.model.sentOf("command")).toHaveLength(1);
  });

  it("says why it failed, and that it was not sent where no kernel is", async () => {
    const page = await opened(3, "run");
    const run = page.one("[data-run] [data-control=menu]");
    run.click();
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    page.choose("Deactivate…");
    await until(() => expect(page.has("[data-ending=ask]")).toBe(true));
    page.one("[data-control=deactivate]").click();
    act(page, { state: "failed", text: "The key may not end runs." }, 2);
    await until(() => expect(page.text("[data-ending=failed]")).toContain("The key may not end runs."));
    page.close();

    const closed = await opened(3);
    await asked(closed, closed.ids()[0] ?? "");
    closed.model.isClosed = true;
    closed.one("[data-control=deactivate]").click();
    await until(() => expect(closed.text("[data-ending=unsent]")).toContain("Not sent"));
  });

  it("deletes only what was planned, says what was kept, and goes on above the table when the row is gone", async () => {
    const page = await opened(3, "checkpoints");
    const [id = ""] = page.ids();
    const size = page.text(`tr[data-id="${id}"] [data-column=size_bytes]`);
    page.menu(id);
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    page.choose("Delete…");
    await until(() => expect(page.text("[data-ending=plan]")).toContain(`Delete checkpoint step-8000? ${size}. Looking up what goes`));
    await until(() => expect(page.root.activeElement?.textContent).toBe("Keep it"));
    const [plan] = page.model.sentOf("command");
    expect(plan).toMatchObject({ what: "plan_deletion", table: "checkpoints", target: id });
    const button = () => page.one<HTMLButtonElement>("[role=alertdialog] [data-control=delete]");
    expect(button().disabled).toBe(true);
    await until(() => expect(page.text("[data-ending=plan]")).toContain("Queued: the kernel is busy."), { timeout: 3000 });
    act(page, { what: "plan_deletion", state: "done", text: "Delete it for good?", hint: "In use: by run r1." }, 2);
    await until(() => expect(page.text("[data-ending=ask] [role=status]")).toBe("Delete it for good? In use: by run r1."));
    button().focus();
    await userEvent.keyboard("{Enter}");
    await until(() => expect(page.has("[data-ending=sent]")).toBe(true));
    expect(page.model.sentOf("command")[1]).toEqual({ ...plan, what: "delete" });
    act(page, { what: "delete", state: "done", text: "Deleted 1 checkpoint.", hint: "Another was kept." }, 3);
    changeOf(page, { checkpoints: { rows: [], removed: [id], total: 2 } }, 4);
    await until(() => expect(page.ids()).toHaveLength(2));
    expect(page.text("[data-ending=done]")).toContain("checkpoint step-8000: Deleted 1 checkpoint. Another was kept.");
    await until(() => expect(page.root.activeElement).toBe(page.one("[data-ending=done]")));
    page.one("[data-ending] [data-control=close]").click();
    await until(() => expect(page.has("[data-ending]")).toBe(false));
    expect(page.root.activeElement).toBe(page.one("tbody [data-control=menu]"));
  });

  it("plans again after a plan that was not confirmed, or that failed", async () => {
    const page = await opened(3, "run");
    const ask = async () => {
      page.one("[data-run] [data-control=menu]").click();
      await until(() => expect(page.has("[role=menu]")).toBe(true));
      page.choose("Delete…");
      await until(() => expect(page.has("[data-ending=plan]")).toBe(true));
    };
    await ask();
    act(page, { what: "plan_deletion", state: "failed", text: "There is no such run.", hint: "Nothing was deleted." }, 2);
    await until(() => expect(page.text("[data-ending=failed]")).toContain("run k4q95w5: There is no such run. Nothing was deleted."));
    await ask();
    page.press("Escape", page.one("[data-control=keep]"));
    await until(() => expect(page.has("[data-ending]")).toBe(false));
    await ask();
    const sent = page.model.sentOf("command");
    expect(sent.map(({ what }) => what)).toEqual(["plan_deletion", "plan_deletion", "plan_deletion"]);
    expect(new Set(sent.map(({ id }) => id)).size).toBe(3);
  });

  it("deploys a sampler checkpoint on the hardware and by the name that are chosen, and shows how it is called", async () => {
    const page = await opened(4, "checkpoints");
    const targetOf = (id: string) => page.text(`tr[data-id="${id}"] [data-column=target]`).toLowerCase();
    const trainer = page.ids().find((each) => targetOf(each) === "trainer") ?? "";
    const id = page.ids().find((each) => targetOf(each) === "sampler") ?? "";
    page.menu(trainer);
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    expect(page.text("[role=menu]")).not.toContain("Deploy…");
    page.press("Escape");
    page.menu(id);
    await until(() => expect(page.text("[role=menu]")).toContain("Deploy…"));
    page.choose("Deploy…");
    await until(() => expect(page.text("[data-ending=plan]")).toContain("Looking up hardware and prices"));
    await until(() => expect(page.root.activeElement?.textContent).toBe("Cancel"));
    const [plan] = page.model.sentOf("command");
    expect(plan).toMatchObject({ what: "plan_deployment", table: "checkpoints", target: id });
    const hardware = [
      { id: "h1", name: "H100 x 1 (h1), 1 GPU", price: "$6.67 an hour" },
      { id: "h2", name: "<b>H200</b>", price: "" },
    ];
    const offered = { name: "step-8000", taken: ["support"], hardware };
    act(page, { what: "plan_deployment", state: "done", text: "Deploy it as a new model?", hint: "Made-up prices.", plan: offered }, 2);
    const select = () => page.one<HTMLSelectElement>("[data-control=hardware]");
    await until(() => expect(page.root.activeElement).toBe(select()));
    expect([...select().options].map((each) => each.text)).toEqual(["Choose one", "H100 x 1 (h1), 1 GPU, $6.67 an hour", "<b>H200</b>"]);
    const button = () => page.one<HTMLButtonElement>("[role=alertdialog] [data-control=deploy]");
    expect(button().disabled).toBe(true);
    await userEvent.selectOptions(select(), "h1");
    const question = "[data-ending=ask] [role=status]";
    await until(() => expect(page.text(question)).toBe("Deploy it as a new model? A node of it is $6.67 an hour. Made-up prices."));
    const field = page.one<HTMLInputElement>("[data-control=model-name]");
    expect(field.value).toBe("step-8000");
    await userEvent.fill(field, " ");
    await until(() => expect(button().disabled).toBe(true));
    await userEvent.fill(field, "support");
    await until(() => expect(page.text(question)).toContain("There is already a model of this name"));
    button().focus();
    await userEvent.keyboard("{Enter}");
    await until(() => expect(page.root.activeElement).toBe(page.one("[data-ending=sent]")));
    expect(page.model.sentOf("command")[1]).toEqual({ ...plan, what: "deploy", hardware: "h1", name: "support" });
    act(page, { what: "deploy", text: "Deployed as model 'support'. It is DEPLOYING." }, 3);
    await until(() => expect(page.text("[data-ending=running]")).toContain("It is DEPLOYING."));
    const write = vi.spyOn(navigator.clipboard, "writeText").mockResolvedValue();
    act(page, { what: "deploy", state: "done", text: "It is ACTIVE.", hint: "%loops deploy status m1", code: "import openai" }, 4);
    await until(() => expect(page.text("[data-ending=done] pre")).toBe("import openai"));
    page.one("[data-ending=done] .copy").click();
    expect(write).toHaveBeenCalledWith("import openai");
    page.one("[data-ending] [data-control=close]").click();
    await until(() => expect((page.root.activeElement as HTMLElement).dataset.control).toBe("menu"));
    expect(page.root.activeElement?.closest("tr")?.dataset.id).toBe(id);
  });

  it("is not offered for what has ended, nor for the sampler of a run", async () => {
    const page = await opened(5, "samplers");
    page.one("[data-control=hide]").click();
    await until(() => expect(page.ids()).toHaveLength(5));
    const paired = page.all("tr[data-id]").find((row) => row.querySelector("[data-column=run_id]")?.textContent !== "–");
    const ended = page.all("tr[data-id]").find((row) => row.querySelector("[data-state=INACTIVE]"));
    paired?.querySelector<HTMLElement>("[data-control=menu]")?.click();
    await until(() => expect(page.text("[role=menu]")).toContain("It ends with its run"));
    expect(page.text("[role=menu]")).not.toContain("%loops deactivate");
    page.choose("Deactivate");
    expect(page.has("[data-ending]")).toBe(false);
    page.press("Escape");
    await until(() => expect(page.has("[role=menu]")).toBe(false));
    ended?.querySelector<HTMLElement>("[data-control=menu]")?.click();
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    expect(page.text("[role=menu]").toLowerCase()).not.toContain("deactivate");
  });
});
