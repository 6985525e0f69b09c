// Makes the bundles that panels carry: ES modules that ask no host for anything, with their style inside.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/** A module whose value is a text in which what recurs is written once, and elsewhere as one letter that the text does not have. */
function packed(text) {
  const letters = [..."~^`|?<=$&_JKQXYZWVUBDEGILNOPRST"].filter((letter) => !text.includes(letter));
  const divider = letters.pop();
  const words = [];
  let rest = text;
  for (const letter of letters) {
    const [word, gain] = mostGained(rest);
    if (gain < 6) break;
    rest = rest.replaceAll(word, letter);
    words.push(letter + word);
  }
  const unpacked = words.reduceRight((all, word) => all.replaceAll(word[0], word.slice(1)), rest);
  if (unpacked !== text) throw new Error("the style is not what it was when it is unpacked");
  const [said, from] = [words.join(divider), rest].map((part) => JSON.stringify(part));
  return `export default ${said}.split("${divider}").reduceRight((all, word) => all.replaceAll(word[0], word.slice(1)), ${from});`;
}

/** The piece of a text whose replacement by one letter makes it shortest, and by how much. */
function mostGained(text) {
  let best = ["", 0];
  for (let length = 40; length > 2; length--) {
    const counts = new Map();
    for (let at = 0; at + length <= text.length; at++) {
      const piece = text.slice(at, at + length);
      const seen = counts.get(piece);
      if (!seen) counts.set(piece, [1, at + length]);
      else if (at >= seen[1]) counts.set(piece, [seen[0] + 1, at + length]);
    }
    for (const [piece, [count]] of counts) {
      const gain = count * (length - 1) - length - 2;
      if (gain > best[1]) best = [piece, gain];
    }
  }
  return best;
}

/** A style sheet asked for with `?inline` becomes a string, as it does in the tests. */
const styles = {
  name: "styles",
  setup(wiring) {
    wiring.onResolve({ filter: /\.css\?inline$/ }, (asked) => ({
      path: join(asked.resolveDir, asked.path.replace("?inline", "")),
      namespace: "style",
    }));
    wiring.onLoad({ filter: /.*/, namespace: "style" }, async ({ path }) => {
      const { outputFiles } = await build({ entryPoints: [path], bundle: true, minify: true, write: false });
      return { contents: packed(outputFiles[0].text.trim()), loader: "js" };
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

/** Names of properties that nobody outside the bundle knows: the page gets them in one letter. */
const OWN =
  "askedAt byId canEnd changedAt choices current disconnected heard isEnding isFiltered isMain isOdd isOpen isStop lasts onClear onClose onEnd " +
  "onEnded onFold onHeight onPress onSort session standing touched unmatched version visibleSince";
/** Names of what a component that is a class may have: Preact asks for them, and Preact is in the bundle. */
const OF_CLASSES =
  "componentDidCatch componentDidMount componentDidUpdate componentWillMount componentWillReceiveProps componentWillUnmount " +
  "componentWillUpdate contextType debounceRendering getChildContext getDerivedStateFromError getDerivedStateFromProps " +
  "getSnapshotBeforeUpdate shouldComponentUpdate";
const any = (words) => new RegExp(`^(${words.replaceAll(" ", "|")})$`);
for (const [word] of (await readFile(join(here, "src/contract.ts"), "utf8")).matchAll(/\w+/g)) {
  if (any(OWN).test(word)) throw new Error(`the kernel says ${word}: it must keep its name`);
}

/** What both bundles are made with. */
const common = {
  absWorkingDir: here,
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
  metafile: true,
};
const made = await Promise.all([
  build({
    ...common,
    entryPoints: ["src/index.ts"],
    outfile: "../loops_nb/static/panels.js",
    mangleProps: any(`${OWN} ${OF_CLASSES}`),
    plugins: [styles, columns],
  }),
  // A kind of widget of its own: whoever shows no curve carries none of it.
  build({
    ...common,
    entryPoints: ["src/curves/index.ts"],
    outfile: "../loops_nb/static/curves.js",
    mangleProps: any(OF_CLASSES),
    plugins: [styles],
  }),
]);

/** The licence of a package in the bundles, as its authors ask that it goes with every copy. */
async function noticeOf(name) {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry));
  if (!file) throw new Error(`${name} is in the bundles and has no licence file`);
  return `${name} ${version} (${license})\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
}

const inputs = made.flatMap(({ metafile }) => Object.keys(metafile.inputs));
const packages = new Set(inputs.flatMap((path) => path.match(/(?<=.*node_modules\/)(@[^/]+\/)?[^/]+/)?.[0] ?? []));
const notices = await Promise.all([...packages].sort().map(noticeOf));
const heading = "panels.js and curves.js contain code of these packages.\n";
await writeFile(join(here, "../loops_nb/static/THIRD-PARTY-NOTICES.txt"), [heading, ...notices].join(`\n${"-".repeat(80)}\n\n`));

for (const { metafile } of made) {
  for (const [file, { bytes }] of Object.entries(metafile.outputs)) console.log(`${file.replace(/^.*\//, "")}: ${bytes} bytes`);
}
