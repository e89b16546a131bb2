"""Stream tasks for lines of text.

Importing this package registers its tasks.
"""

from tasks.text.filtering import filter_lines

__all__ = ["filter_lines"]
