"""Privacy masks: what of a picture nobody is to see, as of the time of recording, burned into a stream made on demand.

The original stays as it came, bit for bit. `MaskPool` makes masked streams; `find_mask` and `list_masks` say what
counted when; who may see without masks is a matter of rights.
"""

from koinon.video.masks.model import Kind, Mask, MaskId, Polygon
from koinon.video.masks.policy import mask_at, mask_of
from koinon.video.masks.service import find_mask, list_masks, set_mask
from koinon.video.masks.stream import Coded, Fragments, MaskedStream, MaskPool, format_of, frames_of

__all__ = [
    "Coded",
    "Fragments",
    "Kind",
    "Mask",
    "MaskId",
    "MaskPool",
    "MaskedStream",
    "Polygon",
    "find_mask",
    "format_of",
    "frames_of",
    "list_masks",
    "mask_at",
    "mask_of",
    "set_mask",
]
