# SPDX-License-Identifier: MIT
# Runs a program to its end and answers the most memory that it had, in MiB: bench/peer-process.ts asks.
import json
import resource
import subprocess
import sys

for _ in sys.stdin:
    done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(json.dumps({'error': f'{sys.argv[1]}: status {done.returncode}: {done.stderr.strip()}'}), flush=True)
    else:
        print(json.dumps({'peak': resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}), flush=True)
