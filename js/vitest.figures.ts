// `npm run figures`: how long the page takes with ten thousand rows.  Prints; asserts nothing.
import { mergeConfig } from "vitest/config";
import tests from "./vitest.config";

const figures = mergeConfig(tests, {});
figures.test = { ...figures.test, include: ["tests/figures.ts"] };
export default figures;
