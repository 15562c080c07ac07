"""Records of ``engine.tables``, and the arrays whose addresses they hold."""

import numpy as np

from skmtl.engine import memory


def table_of(dtype, rows):
    """A table of records from dicts of their fields: field by field takes ten times as long."""
    return np.array([tuple([row[name] for name in dtype.names]) for row in rows], dtype)


class Record:
    """A record of ``engine.tables``, and where it lies."""

    def __init__(self, table):
        self._table = table
        self.address = table.ctypes.data

    @property
    def fields(self):
        """The record, which has its fields as attributes."""
        return self._table.view(np.recarray)[0]


class Records:
    """Makes records, and keeps alive what they hold by address."""

    def __init__(self):
        self.kept = []

    def make(self, dtype, **fields):
        """A record; arrays among the fields enter by address."""
        values = {
            name: value.ctypes.data if isinstance(value, np.ndarray) else value
            for name, value in fields.items()
        }
        record = Record(table_of(dtype, [values]))
        self.kept.append((record, fields))
        return record

    def zeros(self, n_bytes):
        """Make zeroed buffers of some sizes, given by name; gives their addresses.

        They share a block of memory: arrays of their own take 2 us each. Each has lines of the
        cache to itself.
        """
        starts, size = {}, 0
        for name, n in n_bytes.items():
            starts[name] = size
            size += -(-n // memory.LINE) * memory.LINE
        first, _ = self.own(memory.zeros(size, np.uint8))
        return {name: first + start for name, start in starts.items()}

    def own(self, array):
        """Keep an array alive; gives its address and size."""
        self.kept.append((array,))
        return array.ctypes.data, array.size
