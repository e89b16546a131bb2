"""Stream tasks for bytes of any kind: text in, compression, digests, encryption.

Importing this package registers its tasks.
"""

from tasks.bytes.digest import sha256
from tasks.bytes.encryption import decrypt, encrypt
from tasks.bytes.gzip import gunzip, gzip
from tasks.bytes.text import text
from tasks.bytes.zstd import unzstd, zstd

__all__ = ["decrypt", "encrypt", "gunzip", "gzip", "sha256", "text", "unzstd", "zstd"]
