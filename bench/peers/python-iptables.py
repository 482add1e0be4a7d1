# SPDX-License-Identifier: MIT
# Appends rules to the filter table with python-iptables, or reads all of them; answers how long that took, without the start of Python.
import json
import sys
import time

import iptc


def rule(n):
    made = iptc.Rule()
    made.protocol = 'tcp'
    made.src = f'10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}'
    made.create_match('tcp').dport = str(1024 + n % 5000)
    made.target = iptc.Target(made, 'ACCEPT')
    return made


def append(count, batch):
    table = iptc.Table(iptc.Table.FILTER)
    chain = iptc.Chain(table, 'INPUT')
    table.autocommit = not batch
    for n in range(count):
        chain.append_rule(rule(n))
    if batch:
        table.commit()
        table.autocommit = True
    return count


def read():
    table = iptc.Table(iptc.Table.FILTER)
    table.refresh()
    return sum(len(iptc.easy.dump_chain('filter', chain.name)) for chain in table.chains)


for line in sys.stdin:
    request = json.loads(line)
    try:
        started = time.perf_counter()
        count = read() if request['act'] == 'read' else append(request['count'], request['act'] == 'batch')
        print(json.dumps({'ms': (time.perf_counter() - started) * 1000, 'count': count}), flush=True)
    except Exception as error:
        print(json.dumps({'error': str(error) or type(error).__name__}), flush=True)
