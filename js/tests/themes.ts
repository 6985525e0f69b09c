/** The values of JupyterLab's own two themes (4.6), and of VS Code's dark one, for what the panel asks of a theme. */

export const THEMES: Record<"light" | "dark" | "vscode", Record<string, string>> = {
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
  vscode: {
    "--vscode-editor-background": "#1f1f1f",
    "--vscode-editor-font-family": "'Droid Sans Mono', 'monospace', monospace",
    "--vscode-editor-foreground": "#cccccc",
    "--vscode-focusBorder": "#0078d4",
    "--vscode-font-family": "system-ui, 'Ubuntu', 'Droid Sans', sans-serif",
    "--vscode-font-size": "13px",
    "--vscode-list-hoverBackground": "#2a2d2e",
    "--vscode-menu-background": "#1f1f1f",
    "--vscode-panel-border": "#2b2b2b",
  },
};
