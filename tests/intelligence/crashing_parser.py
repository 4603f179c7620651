"""A module that dies as a parser does that reads beyond its memory."""

import os
import signal

os.kill(os.getpid(), signal.SIGSEGV)
