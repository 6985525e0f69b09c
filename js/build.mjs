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
  jsx: "automatic",
  jsxImportSource: "preact",
  // A library that sniffs for AMD would find the notebook's and register there.
  define: { "define.amd": "false" },
  plugins: [styles],
  metafile: true,
});

for (const [file, { bytes }] of Object.entries(metafile.outputs)) {
  console.log(`${file.replace(/^.*\//, "")}: ${bytes} bytes`);
}
