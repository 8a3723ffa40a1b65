"""Loaded first by a worker process: what numba compiles for it goes into a folder of its own.

Several processes that compile the same functions into one folder at once have crashed (cached gufuncs, of orix).
"""

import atexit
import os
import shutil
import tempfile

folder = tempfile.mkdtemp(prefix="napari-4dstem-orient-")
os.environ["NUMBA_CACHE_DIR"] = folder
atexit.register(shutil.rmtree, folder, ignore_errors=True)
