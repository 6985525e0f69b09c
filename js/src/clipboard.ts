/** Says whether the text is in the clipboard now; where pages may not write there, the person copies by hand. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
