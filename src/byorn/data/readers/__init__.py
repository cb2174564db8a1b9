"""The readers by name, in the order in which they are tried: the most telling columns first."""

from byorn.data.readers import alpaca, captions, llava, sharegpt, trl
from byorn.data.readers.reader import Reader

READERS: dict[str, Reader] = {
    reader.name: reader for reader in (trl.READER, llava.READER, sharegpt.READER, alpaca.READER, captions.READER)
}
