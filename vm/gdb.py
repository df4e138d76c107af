# SPDX-License-Identifier: MIT
"""gdb helper for the test VMs: knows where the module's sections lie.

In one terminal:  vm/run --gdb 1234 -- sh -c 'cd /sys/module/ringside/sections; grep . .*; exec COMMAND'
In another:       gdb -x vm/gdb.py build/kernel/lean/vmlinux
                  (gdb) rs-attach 1234
                  (gdb) rs-module .text=0xffffffffc0000000 .data=0xffffffffc0008000
The names and addresses are the ones that the first command printed.
"""
import os

import gdb  # pylint: disable=import-error

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


class Attach(gdb.Command):
    """rs-attach PORT: connect to the VM that vm/run --gdb PORT started."""

    def __init__(self):
        super().__init__('rs-attach', gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        gdb.execute(f'target remote 127.0.0.1:{int(argument or 1234)}')


class Module(gdb.Command):
    """rs-module [KERNEL] SECTION=ADDRESS...: load ringside.ko's symbols at the addresses it was loaded to."""

    def __init__(self):
        super().__init__('rs-module', gdb.COMMAND_FILES)

    def invoke(self, argument, from_tty):
        kernel, sections = 'lean', {}
        for word in gdb.string_to_argv(argument):
            name, is_section, address = word.replace(':', '=').partition('=')
            if is_section:
                sections[name] = int(address, 16)
            else:
                kernel = word
        if '.text' not in sections:
            raise gdb.GdbError('rs-module: .text=ADDRESS is needed')
        path = os.path.join(TOP, 'build', 'module', kernel, 'ringside.ko')
        rest = ' '.join(f'-s {n} {a:#x}' for n, a in sections.items() if n != '.text')
        gdb.execute(f'add-symbol-file {path} {sections[".text"]:#x} {rest}')


Attach()
Module()
