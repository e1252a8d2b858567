"""For processes under libfaketime: a sleep whose deadline has passed when it begins is over.

libfaketime answers EINVAL to it, which Python raises as OSError; on a busy machine that happens.
"""

import errno
import time

_sleep = time.sleep


def _sleep_or_go_on(seconds: float) -> None:
    try:
        _sleep(seconds)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


time.sleep = _sleep_or_go_on
