"""Sources that deliver files: into a folder, a bucket, or over SFTP. `koinon.integrator.drivers` does not import it,
since it reads messages, which know the values of drivers.
"""

from koinon.integrator.drivers.files.delivered import Delivered, types_of
from koinon.integrator.drivers.files.folder import FolderPlace
from koinon.integrator.drivers.files.place import Delivery, FileRefused, Place
from koinon.integrator.drivers.files.sftp import SftpPlace
from koinon.integrator.drivers.files.store import ObjectsPlace
from koinon.integrator.drivers.files.taking import Taken, take_over

__all__ = [
    "Delivered",
    "Delivery",
    "FileRefused",
    "FolderPlace",
    "ObjectsPlace",
    "Place",
    "SftpPlace",
    "Taken",
    "take_over",
    "types_of",
]
