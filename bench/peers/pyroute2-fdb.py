# SPDX-License-Identifier: MIT
# Dumps the forwarding database with pyroute2; the time is that of the dump alone, without the start of Python.
import json
import sys
import time

from pyroute2 import IPRoute


def peak():
    with open('/proc/self/status') as status:
        for line in status:
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024


ipr = IPRoute()
before = peak()
for line in sys.stdin:
    entries = None
    started = time.perf_counter()
    entries = list(ipr.fdb('dump'))
    elapsed = time.perf_counter() - started
    print(json.dumps({'ms': elapsed * 1000, 'count': len(entries), 'before': before, 'peak': peak()}), flush=True)
