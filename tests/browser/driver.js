// Runs in the page of JupyterLab or Notebook 7: what the tests ask of the application, by its own commands and models.
(() => {
  const runs = new Map();
  let count = 0;

  const driver = {
    path: "",

    /** The notebook of the test, also when another tab is in front. */
    panel() {
      const app = globalThis.jupyterapp;
      const open = [...(app?.shell?.widgets("main") ?? [])];
      return open.find((w) => w.context?.path === driver.path && w.content?.model?.cells);
    },

    /** Opens a notebook in this page of JupyterLab, with a kernel of its own. */
    async open(path, withKernel) {
      driver.path = path;
      const kernel = withKernel ? {} : { kernelPreference: { shouldStart: false } };
      await globalThis.jupyterapp.commands.execute("docmanager:open", { path, factory: "Notebook", ...kernel });
    },

    /** Ends the kernels and closes all that is open, without asking; nothing is saved. */
    async closeAll() {
      const { shell, serviceManager } = globalThis.jupyterapp;
      for (const button of document.querySelectorAll(".jp-Dialog .jp-mod-reject")) button.click();
      for (const widget of [...shell.widgets("main")]) widget.dispose();
      await serviceManager.sessions.shutdownAll();
    },

    async ready() {
      await globalThis.jupyterapp.restored;
      await driver.panel().context.ready;
      await driver.panel().revealed;
    },

    /** Waits until the kernel answers. */
    async answered() {
      await driver.panel().sessionContext.ready;
      await driver.insist("");
    },

    /**
     * Runs code until the kernel has answered; code that may run twice.  Of what is sent to a kernel that has just
     * started, now and then something stays unanswered, even after something else was answered.
     */
    async insist(code) {
      for (;;) {
        const asked = driver.kernel()?.requestExecute({ code, silent: true, store_history: false });
        const late = new Promise((resolve) => setTimeout(() => resolve(null), 5000));
        const reply = await Promise.race([asked?.done.catch(() => late) ?? late, late]);
        if (reply?.content.status === "ok") return;
        if (reply) throw new Error(`the kernel says ${reply.content.status}`);
        asked?.dispose();
      }
    },

    kernel() {
      return driver.panel().sessionContext.session?.kernel;
    },

    cell(index) {
      return driver.panel().content.model.cells.get(index);
    },

    /** Starts a cell by the command behind the toolbar's button; its promise ends when the cell does. */
    start(index) {
      const { content } = driver.panel();
      content.activeCellIndex = index;
      content.deselectAll();
      const run = { over: false };
      run.promise = globalThis.jupyterapp.commands.execute("notebook:run-cell").finally(() => {
        run.over = true;
      });
      runs.set(++count, run);
      return count;
    },

    over(number) {
      return runs.get(number).over;
    },

    async command(name, args) {
      await globalThis.jupyterapp.commands.execute(name, args);
    },

    /** From one end of the notebook to the other. */
    scroll(toTheEnd) {
      const outer = driver.panel().content.node.querySelector(".jp-WindowedPanel-outer");
      outer.scrollTop = toTheEnd ? outer.scrollHeight : 0;
    },

    outputs(index) {
      return driver.cell(index).toJSON().outputs;
    },

    /** Runs code in the kernel behind the notebook's back and returns what it printed. */
    async execute(code) {
      const future = driver.kernel().requestExecute({ code, silent: true, store_history: false });
      let out = "";
      future.onIOPub = ({ header, content }) => {
        if (header.msg_type === "stream") out += content.text;
        if (header.msg_type === "error") out += content.traceback.join("\n");
      };
      const reply = await future.done;
      if (reply.content.status !== "ok") throw new Error(`the kernel says ${reply.content.status}: ${out}`);
      return out;
    },

    async save() {
      const { context } = driver.panel();
      await context.save();
    },
  };
  globalThis.driver = driver;
})();
