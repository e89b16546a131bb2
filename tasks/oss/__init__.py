"""The batch restore of archived objects: list them, ask for their restore, watch it.

Importing this package registers its tasks.
"""

from tasks.oss.listing import list_archive_files
from tasks.oss.restoring import restore
from tasks.oss.watching import restore_status

__all__ = ["list_archive_files", "restore", "restore_status"]
