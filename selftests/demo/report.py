# SPDX-License-Identifier: MIT
"""Reads a CSV of sales and writes totals by region and month. usage: report.py CSV REPORT"""
import collections
import csv
import sys

total = collections.defaultdict(float)
count = collections.Counter()
with open(sys.argv[1], newline='') as f:
    for row in csv.DictReader(f):
        key = row['region'], row['date'][:7]
        total[key] += float(row['price']) * int(row['pieces'])
        count[row['region']] += 1
with open(sys.argv[2], 'w') as f:
    for region, month in sorted(total):
        print(f'{region:8} {month} {total[region, month]:14,.2f}', file=f)
print(f'{sum(count.values())} rows, {len(count)} regions, sum {sum(total.values()):,.2f}')
