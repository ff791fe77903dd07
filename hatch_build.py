"""The wheel carries the built assets and the compiled catalogues."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PortalHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs the portal's build before a wheel is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Assets and catalogues are built; an editable install gets them from `make setup` instead."""
        if version == "editable":
            return
        # Loaded by path: `koinon` and what it needs are not installed in the build's own environment.
        folder = Path(self.root) / "src" / "koinon" / "portal" / "build"
        spec = importlib.util.spec_from_file_location("portal_build", folder / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["portal_build"] = package
        spec.loader.exec_module(package)
        from portal_build.assets import build_assets  # type: ignore[import-not-found]
        from portal_build.catalogues import (  # type: ignore[import-not-found]
            compile_catalogues,
            find_slices,
        )

        build_assets(Path(self.root))
        compile_catalogues(find_slices(Path(self.root) / "src" / "koinon"))
