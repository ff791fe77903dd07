"""Objects: named bytes that are durable once `put` returns. A local folder by default, S3 by setting."""

from koinon.base.objects.local import LocalObjects
from koinon.base.objects.opening import open_objects
from koinon.base.objects.port import ObjectInfo, Objects
from koinon.base.objects.s3 import S3Objects

__all__ = ["LocalObjects", "ObjectInfo", "Objects", "S3Objects", "open_objects"]
