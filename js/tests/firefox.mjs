/**
 * Drives Debian's Firefox over WebDriver BiDi: `node firefox.mjs BROWSER ADDRESS DRIVER PICTURE`.
 *
 * Runs all cells of a notebook, waits until its panels are there and until a chart has moved, and prints what they show.
 */

import { readFile } from "node:fs/promises";
import puppeteer from "puppeteer-core";

const [executablePath, address, driver, picture] = process.argv.slice(2);
const PATIENCE = 90_000;

const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 1600 });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.evaluateOnNewDocument(await readFile(driver, "utf-8"));
  await page.goto(address, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => globalThis.jupyterapp, { timeout: PATIENCE });
  await page.evaluate((path) => {
    driver.path = path;
  }, new URL(address).pathname.split("/").pop());
  await page.waitForFunction(() => driver.panel(), { timeout: PATIENCE });
  await page.evaluate(() => driver.ready());
  await page.evaluate(() => driver.answered());
  // Not waited for: the last cell trains.
  await page.evaluate(() => void globalThis.jupyterapp.commands.execute("notebook:run-all-cells"));
  const texts = () => {
    const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
    return roots.map((root) => root.querySelector("section")?.innerText ?? "");
  };
  await page.waitForFunction(`(${texts})().filter((text) => text.includes("Updated") || text.includes("Updates live")).length >= 3`, {
    timeout: PATIENCE,
  });
  const drawn = () => {
    const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot).filter(Boolean);
    const canvas = roots.flatMap((root) => [...root.querySelectorAll("canvas")]).find((each) => each.width > 100);
    return canvas ? canvas.toDataURL() : "";
  };
  await page.waitForFunction(`(${drawn})() !== ""`, { timeout: PATIENCE });
  const first = await page.evaluate(drawn);
  await page.waitForFunction(`(first) => (${drawn})() !== first`, { timeout: PATIENCE }, first);
  const isRunning = await page.evaluate(() => driver.kernel().status === "busy");
  await page.screenshot({ path: picture });
  console.log(JSON.stringify({ browser: await browser.version(), texts: (await page.evaluate(texts)).filter(Boolean), errors, isRunning }));
} finally {
  await browser.close();
}
