"""Pictures as streams: taken apart into bands, compressed, marked and put together again.

Importing this package registers its tasks. A picture runs through them as a header and then
its bands from the top, so that the first bytes of the result are there long before the last
rows of the original are decoded. `image:compress` is the one place where pixels are encoded;
`image:watermark` may stand before or after it.
"""

from tasks.image.compress import compress
from tasks.image.join import join
from tasks.image.split import split
from tasks.image.warming import warm
from tasks.image.watermark import watermark

__all__ = ["compress", "join", "split", "warm", "watermark"]
