"""The build hook of the package: a wheel, an sdist and an editable install have the page code of the panels in them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PanelsBuildHook(BuildHookInterface[Any]):
    """Builds the bundle before anything is packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Build it if that is needed."""
        spec = importlib.util.spec_from_file_location("loops_nb_bundle", Path(self.root) / "js" / "bundle.py")
        if spec is None or spec.loader is None:
            raise RuntimeError("js/bundle.py is missing")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.build()
