import { afterEach, describe, expect, it, vi } from "vitest";
import type { PanelSnapshot, ViewName } from "../src/contract";
import { MockModel } from "./mock";
import { closeAll, Page, shifted } from "./page";
import { FAILING, NOTICES, NOW, rowOf, snapshot } from "./sample";

const VIEWS: ViewName[] = ["fleet", "run", "samplers", "deployments", "checkpoints", "dashboard"];
const fixtures = import.meta.glob<PanelSnapshot>("../../tests/panels/fixtures/*.json", { eager: true, import: "default" });

afterEach(() => {
  closeAll();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const until = vi.waitFor;

describe("a view", () => {
  it.each(VIEWS)("shows %s", async (view) => {
    const page = new Page(shifted(snapshot(view)));
    await until(() => expect(page.has("tr[data-id]")).toBe(true));
    expect(page.text("h3")).toBe(snapshot(view).title);
    expect(page.one("section").dataset.view).toBe(view);
    expect(page.has("[data-run]")).toBe(view === "run");
  });

  it.each(Object.entries(fixtures))("shows what the kernel wrote: %s", async (_, given) => {
    const page = new Page(shifted(given, Date.now() - given.now));
    await until(() => expect(page.one("section").dataset.status).toBe(given.health.state));
    expect(page.text("h3")).toBe(given.title);
    for (const fact of given.facts) expect(page.one(`[data-fact="${CSS.escape(fact.label)}"]`).textContent).toContain(fact.value);
    for (const notice of given.notices) expect(page.one(`[data-notice="${notice.id}"]`).textContent).toContain(notice.hint);
  });

  it("is fed by as many fixtures as there are views", () => {
    expect(
      Object.values(fixtures)
        .map((given) => given.view)
        .sort(),
    ).toEqual([...VIEWS].sort());
  });

  it("stands in a shadow root that keeps the notebook's shortcuts away, under the name that the static report looks for", () => {
    const page = new Page(shifted(snapshot("fleet")));
    expect(page.host.className).toBe("loops-nb-live");
    expect(page.host.dataset.lmSuppressShortcuts).toBe("true");
    expect(page.root.mode).toBe("open");
  });

  it("writes the headings of its tables like sentences", async () => {
    const page = new Page(shifted(snapshot("fleet", 8)));
    await until(() => expect(page.has("#title-samplers")).toBe(true));
    expect(page.one("#title-runs").innerText).toBe("Runs");
    expect(page.one("#title-samplers").innerText).toBe("Standalone samplers");
  });

  it("shows a saved copy as what it is, and needs no message for it", async () => {
    const page = new Page(snapshot("fleet"), { alive: false });
    await until(() => expect(page.one("section").dataset.status).toBe("waiting"));
    expect(page.text("header")).toContain("Saved copy, as it was at");
    expect(page.ids().length).toBeGreaterThan(5);
  });

  it("stands before anything is known", async () => {
    const page = new Page({});
    await until(() => expect(page.text("header")).toContain("Looking for the first time"));
    page.model.tell(shifted(snapshot("samplers", 2)));
    await until(() => expect(page.ids()).toHaveLength(2));
  });

  it("opens and asks on a page that came over plain http from another machine, whose browser keeps some functions back", async () => {
    const { randomUUID } = crypto;
    Object.defineProperty(crypto, "randomUUID", { value: undefined, configurable: true });
    try {
      const page = new Page(shifted(snapshot("run", 3)));
      await until(() => expect(page.model.sentOf("view_opened")).toHaveLength(1));
      page.one("[data-run] [data-control=menu]").click();
      await until(() => expect(page.has("[role=menu]")).toBe(true));
      page.choose("Deactivate…");
      await until(() => expect(page.has("[data-control=deactivate]")).toBe(true));
      page.one("[data-control=deactivate]").click();
      expect(page.model.sentOf("command")).toHaveLength(1);
    } finally {
      Object.defineProperty(crypto, "randomUUID", { value: randomUUID, configurable: true });
    }
  });

  it("leaves nothing behind", async () => {
    const clear = vi.spyOn(globalThis, "clearInterval");
    const page = new Page(shifted(snapshot("run")));
    await until(() => expect(page.has("tr[data-id]")).toBe(true));
    page.close();
    expect(page.el.childElementCount).toBe(0);
    expect(page.model.listeners).toBe(0);
    expect(page.model.sentOf("view_closed")).toHaveLength(1);
    // The clock of the page, and the sign of life.
    await until(() => expect(clear.mock.calls.length).toBeGreaterThanOrEqual(2));
  });

  it("shares one state among the views of a widget", async () => {
    const { default: widget } = await import("../src/index");
    const mock = new MockModel(shifted(snapshot("samplers", 2)));
    const { initialize, render } = widget();
    const end = initialize({ model: mock.model });
    const [a, b] = [document.createElement("div"), document.createElement("div")];
    document.body.append(a, b);
    const first = render({ model: mock.model, el: a });
    mock.change({ base: 1, seq: 2, now: Date.now(), tables: { samplers: { rows: [rowOf("samplers", 7)], removed: [], total: 3 } } });
    // The trait is older than what was told since; the second view must not fall back to it.
    const second = render({ model: mock.model, el: b });
    await until(() => expect(b.firstElementChild?.shadowRoot?.querySelectorAll("tr[data-id]")).toHaveLength(3));
    expect(mock.sentOf("view_opened").map((hello) => hello.have)).toEqual([1, 2]);
    expect(new Set(mock.sentOf("view_opened").map((hello) => hello.view)).size).toBe(2);
    for (const stop of [first, second, end]) stop();
    expect(mock.listeners).toBe(0);
    a.remove();
    b.remove();
  });
});

describe("hostile text", () => {
  const evil = "<img src=x onerror=\"document.title='pwned'\">";

  it("is shown as it is, everywhere", async () => {
    const given = snapshot("run", 1, {
      title: evil,
      facts: [{ label: evil, value: evil, tone: "bad", code: evil }],
      notices: [{ id: evil, at: NOW, tone: "bad", text: evil, hint: evil, about: "" }],
      health: { ...FAILING, reason: evil, hint: evil },
      tables: {
        checkpoints: { rows: [rowOf("checkpoints", 1, { id: `"]${evil}`, checkpoint_id: evil, uri: evil, sync_status: evil })], total: 1 },
      },
    });
    if (given.run)
      given.run = {
        ...given.run,
        id: evil,
        name: evil,
        base_model: evil,
        timeline: [{ what: "run", status: evil, start: NOW, until: null, exact: true }],
      };
    const page = new Page(shifted(given));
    await until(() => expect(page.has("tr[data-id]")).toBe(true));
    page.one(".fold").click();
    page.one("tbody [data-control=menu]").click();
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    expect(page.has("img")).toBe(false);
    expect(page.text("h3")).toBe(evil);
    expect(page.text("tr[data-id]")).toContain(evil);
    // No line of code is offered for an id that could end it; the run's own is harmless.
    expect(page.text("[role=menu]")).not.toContain("%loops files");
    expect(page.text("[role=menu]")).toContain("%loops checkpoints --run k4q95w5");
    expect(document.title).not.toBe("pwned");
  });
});

describe("messages", () => {
  it("says hello and whether it is seen", async () => {
    const page = new Page(shifted(snapshot("fleet")));
    const [hello] = page.model.sentOf("view_opened");
    expect(hello).toMatchObject({ type: "view_opened", have: 1 });
    await until(() =>
      expect(page.model.sentOf("view_visibility")).toContainEqual({ type: "view_visibility", view: hello?.view, visible: true }),
    );
    page.el.style.display = "none";
    await until(() =>
      expect(page.model.sentOf("view_visibility").at(-1)).toEqual({ type: "view_visibility", view: hello?.view, visible: false }),
    );
    page.el.style.display = "";
    await until(() => expect(page.model.sentOf("view_visibility").at(-1)?.visible).toBe(true));
    window.dispatchEvent(new PageTransitionEvent("pagehide"));
    expect(page.model.sentOf("view_closed")).toEqual([{ type: "view_closed", view: hello?.view }]);
  });

  it("tells nothing of what it has when that is cut short", () => {
    const given = shifted(snapshot("samplers", 3));
    if (given.tables.samplers) given.tables.samplers.total = 900;
    const page = new Page(given, { alive: false });
    expect(page.model.sentOf("view_opened")[0]?.have).toBeNull();
  });

  it("shows a change, a new row and a row that is gone", async () => {
    const page = new Page(shifted(snapshot("samplers", 3)));
    await until(() => expect(page.ids()).toHaveLength(3));
    const [, second, third] = page.ids();
    const kept = page.one(`tr[data-id="${second}"]`);
    const changed = shifted(rowOf("samplers", 1, { status: "UNHEALTHY" }));
    page.model.change({
      base: 1,
      seq: 2,
      now: Date.now(),
      tables: { samplers: { rows: [changed, rowOf("samplers", 20, { id: "fresh" })], removed: [third ?? ""], total: 3 } },
    });
    await until(() => expect(page.ids()).toContain("fresh"));
    expect(page.ids()).not.toContain(third);
    expect(page.one(`tr[data-id="${second}"]`)).toBe(kept);
    expect(kept.querySelector("[data-state]")?.getAttribute("data-state")).toBe("UNHEALTHY");
    expect(kept.querySelectorAll(".flash")).toHaveLength(matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 1);
  });

  it("asks once a second for what was lost, and shows the old data until it comes", async () => {
    const page = new Page(shifted(snapshot("samplers", 3)));
    for (let i = 0; i < 20; i++) page.model.change({ base: 50 + i, seq: 51 + i, now: Date.now(), facts: [] });
    expect(page.model.sentOf("resync")).toEqual([{ type: "resync", stream: "*", have: 1 }]);
    await until(() => expect(page.ids()).toHaveLength(3));
    await until(() => expect(page.model.sentOf("resync")).toHaveLength(2), { timeout: 3000 });
    page.model.tell({ ...shifted(snapshot("samplers", 4)), seq: 71 });
    await until(() => expect(page.text("[data-count]")).toBe("3 · 1 finished hidden"));
    page.model.heartbeat({ seq: 71, now: Date.now(), looked_at: Date.now() });
    await new Promise((done) => setTimeout(done, 1500));
    expect(page.model.sentOf("resync")).toHaveLength(2);
  });

  it("asks for the rest of a table that was cut short, if it does not come", async () => {
    const cut = shifted(snapshot("samplers", 3));
    if (cut.tables.samplers) cut.tables.samplers.total = 5;
    const page = new Page(cut, { alive: false });
    page.model.heartbeat({ seq: 1, now: Date.now(), looked_at: Date.now() });
    await until(() => expect(page.text("[data-count]")).toContain("2 more loading"));
    await until(() => expect(page.model.sentOf("resync").length).toBeGreaterThan(0), { timeout: 6000 });
    page.model.tell(shifted(snapshot("samplers", 5)));
    await until(() => expect(page.text("[data-count]")).toBe("3 · 2 finished hidden"));
  });

  it("takes a saved snapshot that is newer, but never a short one for a whole one", async () => {
    const page = new Page(shifted(snapshot("samplers", 5)));
    page.model.save({ ...shifted(snapshot("samplers", 6)), seq: 4 });
    await until(() => expect(page.text("[data-count]")).toBe("4 · 2 finished hidden"));
    const cut: PanelSnapshot = { ...shifted(snapshot("samplers", 1)), seq: 9 };
    if (cut.tables.samplers) cut.tables.samplers.total = 6;
    page.model.save(cut);
    expect(page.model.sentOf("resync")).toEqual([{ type: "resync", stream: "*", have: 4 }]);
    expect(page.text("[data-count]")).toBe("4 · 2 finished hidden");
  });

  it("sends a sign of life every few seconds in Colab, where nothing else comes through", async () => {
    vi.stubGlobal("google", { colab: {} });
    const repeat = vi.spyOn(globalThis, "setInterval");
    const page = new Page(shifted(snapshot("fleet")));
    expect(repeat.mock.calls.map(([, every]) => every)).toContain(3000);
    page.close();
    vi.unstubAllGlobals();
    repeat.mockClear();
    new Page(shifted(snapshot("fleet")));
    expect(repeat.mock.calls.map(([, every]) => every)).toContain(10_000);
  });

  it("bears a widget whose notebook was closed", () => {
    const page = new Page(shifted(snapshot("fleet")));
    page.model.isClosed = true;
    expect(() => page.close()).not.toThrow();
  });
});

describe("how fresh it is", () => {
  it("counts on by itself", async () => {
    const given = shifted(snapshot("fleet"));
    const page = new Page({ ...given, now: Date.now(), health: { ...given.health, looked_at: Date.now() } });
    await until(() => expect(page.text(".status")).toBe("Updated 0 s ago"));
    await until(() => expect(page.text(".status")).toBe("Updated 2 s ago"), { timeout: 4000 });
  });

  it("says since when and why it fails, and when it is tried again; keeps the data; and says that it is live again", async () => {
    const given = shifted(snapshot("fleet"));
    const page = new Page(given);
    await until(() => expect(page.ids().length).toBeGreaterThan(0));
    const before = page.ids();
    page.model.change({ base: 1, seq: 2, now: Date.now(), health: shifted(FAILING, Date.now() - NOW) });
    await until(() => expect(page.has("[data-health=failing]")).toBe(true));
    const banner = page.text("[data-health]");
    expect(banner).toMatch(/^Not up to date since \d\d:\d\d\. Connection refused/);
    expect(banner).toContain("%loops local start");
    expect(banner).toMatch(/Next try in [56] s\./);
    expect(page.text(".status")).toContain("Not updated for 1 min");
    expect(page.ids()).toEqual(before);
    await until(() => expect(page.all("[role=status]").at(-1)?.textContent).toContain("Not up to date. Connection refused"));
    page.model.change({ base: 2, seq: 3, now: Date.now(), health: { ...given.health, looked_at: Date.now() } });
    await until(() => expect(page.has("[data-health]")).toBe(false));
    await until(() => expect(page.all("[role=status]").at(-1)?.textContent).toBe("Live again."));
  });

  it("says that the kernel was restarted, offers the line, and what needs a kernel is gone", async () => {
    const page = new Page(shifted(snapshot("fleet")));
    await until(() => expect(page.has(".pause")).toBe(true));
    page.model.disconnect();
    await until(() => expect(page.has("[data-health=gone]")).toBe(true));
    expect(page.text("[data-health] code")).toBe("%loops watch");
    expect(page.has(".pause")).toBe(false);
    page.menu(page.ids()[0] ?? "");
    await until(() => expect(page.has("[role=menu]")).toBe(true));
    expect(page.text("[role=menu]")).not.toContain("Deactivate…");
    page.model.heartbeat({ seq: 1, now: Date.now(), looked_at: Date.now() });
    await until(() => expect(page.has("[data-health]")).toBe(false));
  });

  it("lets no state last longer than is known", async () => {
    const given = shifted(snapshot("run"));
    const page = new Page(given);
    await until(() => expect(page.text("[data-part=run]")).toContain("for "));
    expect(page.text(".axis")).toContain("now");
    const before = page.text("[data-part=run]");
    page.model.change({ base: 1, seq: 2, now: Date.now() + 7_200_000, health: { ...given.health, state: "paused" } });
    await until(() => expect(page.text(".status")).toContain("Paused"));
    await until(() => expect(page.text(".axis")).not.toContain("now"));
    expect(page.text("[data-part=run]")).toBe(before);
  });

  it("says paused and over with the time of the data, and over why", async () => {
    const given = shifted(snapshot("fleet"));
    const page = new Page({ ...given, health: { ...given.health, state: "paused" } });
    await until(() => expect(page.text(".status")).toMatch(/^Paused, as it was at \d\d:\d\d$/));
    expect(page.has(".resume")).toBe(true);
    page.model.change({ base: 1, seq: 2, now: Date.now(), health: { ...given.health, state: "over", reason: "Every run has ended." } });
    await until(() => expect(page.text("[data-health=over]")).toBe("Every run has ended."));
    expect(page.has(".refresh")).toBe(false);
  });

  it("sends pause, resume and refresh, and says when the kernel has no time for it", async () => {
    const given = shifted(snapshot("fleet"));
    const page = new Page(given);
    await until(() => expect(page.has(".pause")).toBe(true));
    page.one(".refresh").click();
    page.one(".pause").click();
    expect(page.model.sentOf("refresh")).toHaveLength(1);
    expect(page.model.sentOf("set_polling")).toEqual([{ type: "set_polling", paused: true }]);
    await until(() => expect(page.text(".status")).toBe("Queued: the kernel is busy"), { timeout: 3000 });
    page.model.change({ base: 1, seq: 2, now: Date.now(), health: { ...given.health, state: "paused" } });
    await until(() => expect(page.has(".resume")).toBe(true));
    expect(page.text(".status")).toContain("Paused");
    page.one(".resume").click();
    expect(page.model.sentOf("set_polling").at(-1)).toEqual({ type: "set_polling", paused: false });
  });
});

describe("nothing", () => {
  const none = (over: Partial<PanelSnapshot>) => shifted(snapshot("samplers", 0, over));

  it("is told apart: not looked yet, nothing yet, cannot reach, nothing matches", async () => {
    const page = new Page(none({ ready: false, health: { ...FAILING, state: "starting", looked_at: null } }));
    await until(() => expect(page.text("[data-empty=starting]")).toContain("Looking for samplers"));
    page.model.change({ base: 1, seq: 2, now: Date.now(), health: shifted({ ...FAILING, looked_at: null }) });
    await until(() => expect(page.has("[data-empty=unreachable]")).toBe(true));
    page.model.change({ base: 2, seq: 3, now: Date.now(), ready: true, health: shifted(snapshot("fleet").health) });
    await until(() => expect(page.text("[data-empty=nothing]")).toContain("%loops create sampler"));
    page.model.change({ base: 3, seq: 4, now: Date.now(), tables: { samplers: { rows: [rowOf("samplers", 0)], removed: [], total: 1 } } });
    await until(() => expect(page.ids()).toHaveLength(1));
    page.filter("no such thing");
    await until(() => expect(page.text("[data-empty=no-match]")).toContain("Nothing matches."));
    page.one("[data-empty] button").click();
    await until(() => expect(page.ids()).toHaveLength(1));
  });
});

describe("notices", () => {
  it("are shown, said once, and dismissed", async () => {
    const page = new Page(shifted(snapshot("fleet", 3, { notices: NOTICES.slice(1) })));
    await until(() => expect(page.all("[data-notice]")).toHaveLength(1));
    // What was there before is shown, not said.
    expect(page.text("[role=alert]")).toBe("");
    page.model.change({ base: 1, seq: 2, now: Date.now(), notices: shifted(NOTICES) });
    await until(() => expect(page.text("[role=alert]")).toContain("Run k4q95w5 was preempted."));
    expect(page.text("[data-notice=n1]")).toContain("start a new run from step-7980");
    page.one("[data-notice=n1] .dismiss").click();
    await until(() => expect(page.all("[data-notice]").map((each) => each.dataset.notice)).toEqual(["n2"]));
    page.model.change({ base: 2, seq: 3, now: Date.now(), notices: shifted(NOTICES) });
    await until(() => expect(page.model.sentOf("resync")).toHaveLength(0));
    expect(page.all("[data-notice]")).toHaveLength(1);
  });

  it("raise one notification of the browser each, where that is wanted and allowed", async () => {
    const raised: string[] = [];
    class Fake {
      static permission = "granted";
      constructor(title: string) {
        raised.push(title);
      }
    }
    vi.stubGlobal("Notification", Fake);
    const page = new Page(shifted(snapshot("fleet", 3, { notify: true, notices: NOTICES.slice(1) })));
    page.model.change({ base: 1, seq: 2, now: Date.now(), notices: shifted(NOTICES) });
    page.model.change({ base: 2, seq: 3, now: Date.now(), notices: shifted(NOTICES) });
    page.model.tell({ ...shifted(snapshot("fleet", 3, { notify: true, notices: NOTICES })), seq: 3 });
    expect(raised).toEqual(["Run k4q95w5 was preempted."]);
  });

  it("ask for leave by a button alone", async () => {
    const ask = vi.fn(async () => "granted");
    vi.stubGlobal("Notification", Object.assign(vi.fn(), { permission: "default", requestPermission: ask }));
    const page = new Page(shifted(snapshot("fleet", 3, { notify: true })));
    await until(() => expect(page.has("[data-control=allow]")).toBe(true));
    expect(ask).not.toHaveBeenCalled();
    page.one("[data-control=allow]").click();
    expect(ask).toHaveBeenCalledOnce();
  });
});
