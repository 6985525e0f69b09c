/** Makes the static report before a live view step aside, in front ends whose page the report's own style does not know. */

const REPORT = ".loops-nb-report";

export function hideReport(host: HTMLElement): () => void {
  // JupyterLab, Notebook and Voila: the style hides the whole output, and shows it again when the view dies without a word.
  // A view inside of another panel has no report, and what stands before it is another's.
  if (document.querySelector(".jp-OutputArea-child") || host.getRootNode() !== document) return () => {};
  const before = (element: Element) => host.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_PRECEDING;
  const report = [...document.querySelectorAll<HTMLElement>(REPORT)].filter(before).at(-1);
  const nearest = [...document.querySelectorAll(`${REPORT}, .loops-nb-live`)].filter(before).at(-1);
  // Only its own one: between a panel and its report stands no other panel.
  if (!report || report !== nearest || report.hidden) return () => {};
  report.hidden = true;
  return () => {
    report.hidden = false;
  };
}
