"""What several fits need, and one of them makes."""

from threading import Lock


class Once:
    """Things by their keys, each made once, by whichever thread comes first."""

    def __init__(self):
        self._lock, self._locks, self._made = Lock(), {}, {}

    def get(self, key, make):
        """The thing of a key.

        Parameters
        ----------
        key : hashable
            Its name.
        make : callable
            Makes it, if it is new.

        Returns
        -------
        object
            Not to be changed: others have it too.
        """
        with self._lock:
            lock = self._locks.setdefault(key, Lock())
        with lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]
