/** The values of JupyterLab's own two themes (4.6) for what the panel asks of a theme. */

export const THEMES: Record<"light" | "dark", Record<string, string>> = {
  light: {
    "--jp-border-color2": "#e0e0e0",
    "--jp-brand-color1": "#1976d2",
    "--jp-code-font-family": 'menlo, consolas, "DejaVu Sans Mono", monospace',
    "--jp-content-font-color1": "rgba(0,0,0,.87)",
    "--jp-layout-color0": "white",
    "--jp-layout-color1": "white",
    "--jp-rendermime-table-row-background": "#f5f5f5",
    "--jp-rendermime-table-row-hover-background": "#e1f5fe",
    "--jp-ui-font-family":
      'system-ui, -apple-system, blinkmacsystemfont, "Segoe UI", helvetica, arial, sans-serif, "Apple Color Emoji", "Segoe UI Emoji", "Segoe UI Symbol"',
    "--jp-ui-font-size1": "13px",
  },
  dark: {
    "--jp-border-color2": "#424242",
    "--jp-brand-color1": "#2196f3",
    "--jp-code-font-family": 'menlo, consolas, "DejaVu Sans Mono", monospace',
    "--jp-content-font-color1": "#fff",
    "--jp-layout-color0": "#111",
    "--jp-layout-color1": "#212121",
    "--jp-rendermime-table-row-background": "#212121",
    "--jp-rendermime-table-row-hover-background": "rgba(3,169,244,.2)",
    "--jp-ui-font-family":
      'system-ui, -apple-system, blinkmacsystemfont, "Segoe UI", helvetica, arial, sans-serif, "Apple Color Emoji", "Segoe UI Emoji", "Segoe UI Symbol"',
    "--jp-ui-font-size1": "13px",
  },
};
