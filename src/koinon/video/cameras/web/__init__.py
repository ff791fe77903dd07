"""Pages of the cameras: the map, the public map, administration, work stations. The application takes
`handlers`, `navigation` and `problems`.
"""

from typing import Any

from koinon.portal import NavigationItem
from koinon.video.cameras.tiles import BaseMap
from koinon.video.cameras.web import administration, api, maps, stations
from koinon.video.cameras.web.maps import VisibleTo
from koinon.video.cameras.web.words import problems

handlers: list[Any] = [
    maps.show_map,
    maps.show_map_data,
    maps.show_public_map,
    maps.show_public_data,
    maps.send_tiles,
    *administration.handlers,
    *stations.handlers,
    *api.handlers,
]
navigation: list[NavigationItem] = [
    *maps.navigation,
    *administration.navigation,
    *stations.navigation,
]

__all__ = ["BaseMap", "VisibleTo", "handlers", "navigation", "problems"]
