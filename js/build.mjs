// Builds the panels' bundles: minified ES modules with their style sheet inside, which load nothing from other hosts.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const staticFolder = join(here, "../loops_nb/static");

/** Imports of `*.css?inline` are the minified style sheet as a string, as they are under Vite in the tests. */
const inlineCss = {
  name: "inline-css",
  setup(plugin) {
    plugin.onResolve({ filter: /\.css\?inline$/ }, ({ path, resolveDir }) => ({
      path: join(resolveDir, path.replace("?inline", "")),
      namespace: "inline-css",
    }));
    plugin.onLoad({ filter: /.*/, namespace: "inline-css" }, async ({ path }) => {
      const { outputFiles } = await build({ entryPoints: [path], bundle: true, minify: true, write: false });
      return { contents: outputFiles[0].text.trim(), loader: "text" };
    });
  },
};

/** Shapes of lines that no chart has, and joining of tables: the rest of uPlot does not call them, so they can be left out. */
const UNUSED = ["(paths.stepped = stepped);", "(paths.bars    = bars);", "(paths.spline  = monotoneCubic);", "uPlot.join = join;"];
const smallerPlots = {
  name: "smaller-plots",
  setup(plugin) {
    plugin.onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      for (const line of UNUSED) {
        if (!contents.includes(line)) throw new Error(`uPlot has no "${line}" any more: see what can be left out of this version`);
        contents = contents.replace(line, "");
      }
      return { contents };
    });
  },
};

const { metafile } = await build({
  absWorkingDir: here,
  // Several bundles, because every saved widget carries one: notebooks without curves do not carry their code.
  entryPoints: {
    panels: "src/index.ts",
    curves: "src/curves/index.ts",
    dashboard: "src/dashboard/index.ts",
    experiments: "src/experiments/index.ts",
    samples: "src/samples/index.ts",
    logs: "src/logs/index.ts",
  },
  outdir: staticFolder,
  bundle: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  // A library that looks for AMD would find the notebook's loader and register itself there.
  define: { "define.amd": "false" },
  plugins: [inlineCss, smallerPlots],
  metafile: true,
});

/** The licence of a bundled package, which has to be distributed with every copy. */
async function licenceOf(name) {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry));
  if (!file) throw new Error(`${name} is in the bundles and has no licence file`);
  return `${name} ${version} (${license})\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
}

const inputs = Object.keys(metafile.inputs);
const packages = new Set(inputs.flatMap((path) => path.match(/(?<=.*node_modules\/)(@[^/]+\/)?[^/]+/)?.[0] ?? []));
const licences = await Promise.all([...packages].sort().map(licenceOf));
const heading = "panels.js, curves.js, dashboard.js, experiments.js, samples.js and logs.js contain code of these packages.\n";
await writeFile(join(staticFolder, "THIRD-PARTY-NOTICES.txt"), [heading, ...licences].join(`\n${"-".repeat(80)}\n\n`));

for (const [file, { bytes }] of Object.entries(metafile.outputs)) console.log(`${file.replace(/^.*\//, "")}: ${bytes} bytes`);
