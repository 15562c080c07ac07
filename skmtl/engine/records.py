"""Records of ``engine.tables``, and the arrays whose addresses they hold."""

from typing import Any, NamedTuple

import numpy as np


class Record(NamedTuple):
    """A record of ``engine.tables``, and where it lies."""

    fields: Any
    address: int


class Records:
    """Makes records, and keeps alive what they hold by address."""

    def __init__(self):
        self.kept = []

    def make(self, dtype, **fields):
        """A record; arrays among the fields enter by address."""
        if missing := set(dtype.names).difference(fields):
            raise TypeError(f"missing fields {missing}")
        values = (fields[name] for name in dtype.names)
        table = np.zeros(1, dtype)
        table[0] = tuple(v.ctypes.data if isinstance(v, np.ndarray) else v for v in values)
        record = table.view(np.recarray)[0]
        self.kept.append((record, fields))
        return Record(record, table.ctypes.data)

    def own(self, array):
        """Keep an array alive; gives its address and size."""
        self.kept.append((array,))
        return array.ctypes.data, array.size
