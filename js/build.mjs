// Makes the one bundle that every panel carries: an ES module that asks no host for anything, with its style inside.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/** A style sheet asked for with `?inline` becomes a string, as it does in the tests. */
const styles = {
  name: "styles",
  setup(wiring) {
    wiring.onResolve({ filter: /\.css\?inline$/ }, (asked) => ({
      path: join(asked.resolveDir, asked.path.replace("?inline", "")),
      namespace: "style",
    }));
    wiring.onLoad({ filter: /.*/, namespace: "style" }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true });
      return { contents: code.trim(), loader: "text", watchFiles: [path] };
    });
  },
};

/** The columns are written out for people; the page gets them as short calls. */
const columns = {
  name: "columns",
  setup(wiring) {
    wiring.onLoad({ filter: /contract\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const column = /\{\s*"name": (".*?"),\s*"title": (".*?"),\s*"drawn": (".*?"),\s*"rank": (\d+|null)\s*\}/g;
      const short = text.replace(column, "column($1, $2, $3, $4)");
      return { contents: `const column = (name, title, drawn, rank) => ({ name, title, drawn, rank });\n${short}`, loader: "ts" };
    });
  },
};

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/index.ts"],
  outfile: "../loops_nb/static/panels.js",
  bundle: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  // Every file with markup is given the shorter calls: `h(...)` instead of those of the automatic runtime.
  tsconfigRaw: {},
  jsx: "transform",
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: ["src/ui/h.ts"],
  // A library that sniffs for AMD would find the notebook's and register there.
  define: { "define.amd": "false" },
  plugins: [styles, columns],
  metafile: true,
});

for (const [file, { bytes }] of Object.entries(metafile.outputs)) {
  console.log(`${file.replace(/^.*\//, "")}: ${bytes} bytes`);
}
