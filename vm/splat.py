# SPDX-License-Identifier: MIT
"""What in a kernel log means that the kernel, or a checker in it, found something wrong."""
import re

SPLAT = re.compile(
    r'Kernel panic|\bBUG: |\bkernel BUG at|\bWARNING: |\bOops: |\bOops\b.*\[#|general protection fault'
    r'|Unable to handle|KASAN|KCSAN: |UBSAN: |KFENCE: '
    r'|possible (circular|recursive|irq|deadlock)|inconsistent lock state|suspicious RCU usage|held lock freed'
    r'|INFO: (task .* blocked|trying to register|possible|rcu|suspicious)|DEBUG_LOCKS_WARN|lock held when returning'
    r'|rcu: INFO: |self-detected stall|detected stalls|soft lockup|hard LOCKUP|workqueue lockup'
    r'|scheduling while atomic|sleeping function called|bad: scheduling'
    r'|list_(add|del) corruption|refcount_t: |ODEBUG: |Bad page (state|map)|bad page state|stack guard page was hit'
    r'|unchecked MSR access|unreferenced object|page_table_check|Freepage|corrupted stack end|double fault'
    r'|invalid opcode: 0000|divide error: 0000|stack segment: 0000|int3: 0000|Memory leak')

# A message of the console that is no fault of the kernel's: how the checkers introduce themselves.
HARMLESS = re.compile(
    r'KASAN: (init|KernelAddressSanitizer)|kasan: KernelAddressSanitizer initialized|KASAN-INIT'
    r'|Command line:|Kernel command line:')


def first_splat(lines):
    """The first line that is a report, or None."""
    for line in lines:
        if SPLAT.search(line) and not HARMLESS.search(line):
            return line.strip()
    return None
