import { afterEach, expect, test } from "vitest";
import { hideReport } from "../src/report";

afterEach(() => document.body.replaceChildren());

function put(className: string): HTMLElement {
  const element = document.createElement("div");
  element.className = className;
  // Each output of a cell stands in an element of its own.
  const output = document.createElement("section");
  output.append(element);
  document.body.append(output);
  return element;
}

test("the report right before a live view steps aside, and comes back with its end", () => {
  const earlier = put("loops-nb-report");
  const report = put("loops-nb-report");
  put("printed");
  const host = put("loops-nb-live");
  const back = hideReport(host);
  expect([earlier.hidden, report.hidden]).toEqual([false, true]);
  back();
  expect(report.hidden).toBe(false);
});

test("the report of another panel stays", () => {
  const other = put("loops-nb-report");
  put("loops-nb-live");
  const host = put("loops-nb-live");
  put("loops-nb-report");
  hideReport(host);
  expect(other.hidden).toBe(false);
});

test("a view inside of another panel hides no report", () => {
  const report = put("loops-nb-report");
  const outer = put("loops-nb-live").attachShadow({ mode: "open" });
  const inner = document.createElement("div");
  inner.className = "loops-nb-live";
  outer.append(inner);
  hideReport(inner)();
  expect(report.hidden).toBe(false);
  const back = hideReport(inner);
  expect(report.hidden).toBe(false);
  back();
});

test("where the style of the report does it, nothing else does", () => {
  put("jp-OutputArea-child");
  const report = put("loops-nb-report");
  hideReport(put("loops-nb-live"));
  expect(report.hidden).toBe(false);
});
