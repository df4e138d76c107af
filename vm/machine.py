# SPDX-License-Identifier: MIT
"""The two emulated machines: how each is given a kernel, an image, and two serial lines.

QEMU (TCG) has SVM and NPT, Bochs has VMX and EPT. Both get the kernel console on the first serial port and
the channel of vm/init.c on the second; both ports lead to a FIFO that vm/run reads (QEMU's channel to two, NAME.out
and NAME.in, as its pipe: wants them). Neither emulator's
exit status means anything (Bochs always ends with 1, and a panic under QEMU's -no-reboot with 0), so
the result is what arrived on the channel.
"""
import os
import shutil
import subprocess

# Bochs runs this many instructions per second of guest time. The debug kernel does so much work in a
# timer tick that it needs the higher rate, or it would do nothing else.
BOCHS_IPS = {'lean': 10_000_000, 'lean-6.12': 10_000_000}
BOCHS_IPS_SLOW = 100_000_000
BOCHS_CPU = 'broadwell_ult'
QEMU_CPU = 'max,+svm,+npt'
# QEMU does `rep stosb` a byte at a time, so a kernel that clears pages with it (ERMS) takes 2,097,152 steps for a large one, and with
# `rep stosq` an eighth. The ledger, which counts instructions (--icount), keeps the model as it is.
QEMU_FASTER = ',-erms'
# A host that stops a CPU of QEMU's for 20 seconds is no fault of the kernel's in it, which would report a stall (the lean ones have no
# watchdog beside RCU's, and would pass its argument on to init).
QEMU_PATIENCE = ' rcupdate.rcu_cpu_stall_timeout=120'
ISOLINUX = '/usr/lib/ISOLINUX/isolinux.bin'
LDLINUX = '/usr/lib/syslinux/modules/bios/ldlinux.c32'

# KUnit suites would run at every load of the module; vm/kunit turns them on (a later argument wins).
COMMON_APPEND = ['console=ttyS0', 'quiet', 'panic=-1', 'oops=panic', 'kunit.enable=0']

# Any fixed date: time0 and the RTC base make two runs see the same clock.
EPOCH = 1767225600
EPOCH_ISO = '2026-01-01T00:00:00'


class Machine:
    """What to run: argv, its working directory is opts.dir; append is the kernel command line in use."""

    def __init__(self, argv, env=None, log=None):
        self.argv = argv
        self.env = env
        self.log = log


def channel_ends(opts, path):
    """The FIFOs of the channel: the one to read and, where the machine has it, the one to write."""
    return (path + '.out', path + '.in') if opts.machine == 'qemu' else (path, None)


def spare_cpus(opts):
    """How many CPUs a machine gets beside those that were asked for: QEMU one, the first, when there are several.

    In QEMU any CPU that loads x87 state (FLDENV, FXRSTOR, XRSTOR: every return to another user process) clears a
    bit in CPU 0's hflags2, unlocked, whatever CPU 0 is doing. There the emulator has also whether CPU 0 is in a guest,
    with nested paging, with its interrupts held back. So guests do not run on CPU 0 unless it is the only one.
    """
    return 1 if opts.machine == 'qemu' and opts.smp > 1 else 0


def qemu(opts, kernel, parts, console, channel):
    """The SVM machine. parts are the archives of the image, joined into one file."""
    initrd = join(parts, os.path.join(opts.dir, 'initrd'))
    cpu = opts.cpu or QEMU_CPU
    append = ' '.join(COMMON_APPEND)
    argv = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none',
            '-m', f'{opts.mem_mib}M', '-smp', str(opts.smp + opts.spare),
            '-serial', f'file:{console}', '-serial', f'pipe:{channel}',
            '-device', 'isa-debug-exit,iobase=0xf4,iosize=1',
            '-kernel', os.path.join(kernel, 'image'), '-initrd', initrd]
    if opts.icount:
        cpu += ',-rdrand,-rdseed'
        # Calibrating the local APIC's timer is half a billion instructions; the HPET serves one CPU as well.
        append += ' norandmaps nokaslr nolapic_timer'
        argv += ['-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off', '-seed', '1',
                 '-rtc', f'base={EPOCH_ISO},clock=vm']
    else:
        argv += ['-accel', 'tcg']
        cpu += QEMU_FASTER
        append += QEMU_PATIENCE
        if opts.kernel not in BOCHS_IPS:
            append += ' watchdog_thresh=60'
    if opts.gdb:
        argv += ['-gdb', f'tcp:127.0.0.1:{opts.gdb}']
    argv += ['-cpu', cpu, '-append', ' '.join([append] + opts.append)]
    return Machine(argv)


def bochs(opts, kernel, parts, console, channel):
    """The VMX machine (or a second SVM, with --cpu bochs:ryzen). It boots from a CD made with isolinux."""
    folder = opts.dir
    tree = os.path.join(folder, 'cd')
    os.mkdir(tree)
    join(parts, os.path.join(tree, 'initrd'))
    shutil.copy(os.path.join(kernel, 'image'), os.path.join(tree, 'vmlinuz'))
    shutil.copy(ISOLINUX, tree)
    shutil.copy(LDLINUX, tree)
    lean = opts.kernel in BOCHS_IPS
    ips = BOCHS_IPS.get(opts.kernel, BOCHS_IPS_SLOW)
    model = opts.cpu or BOCHS_CPU
    append = COMMON_APPEND + ['tsc=reliable', 'no_timer_check', f'lpj={ips // 100}', 'norandmaps', 'nordrand', 'nokaslr',
                              'random.trust_cpu=off']
    # MWAIT loses wake-ups in Bochs when there are two CPUs: an idle one sleeps through its timer.
    append += ['idle=nomwait']
    if not lean:
        append += ['acpi=off'] if opts.kernel in ('debug', 'leak') else []
    if model in ('ryzen', 'zambezi'):
        append += ['clearcpuid=mwaitx']
    write(os.path.join(tree, 'isolinux.cfg'),
          'DEFAULT vm\nPROMPT 0\nTIMEOUT 0\nLABEL vm\n KERNEL /vmlinuz\n'
          f' APPEND initrd=/initrd {" ".join(append + opts.append)}\n')
    iso = os.path.join(folder, 'cd.iso')
    subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-r', '-o', iso, '-b', 'isolinux.bin', '-c', 'boot.cat',
                    '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', tree],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(tree)
    log = os.path.join(folder, 'bochs.log')
    count = f', count={opts.smp}' if opts.smp > 1 else ''
    write(os.path.join(folder, 'bochsrc'), f'''
display_library: term
plugin_ctrl: unmapped=1, serial=1
megs: {opts.mem_mib}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model={model}{count}, ips={ips}
clock: sync=none, time0={EPOCH}
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={console}
com2: enabled=1, mode=file, dev={channel}
log: {log}
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
''')
    write(os.path.join(folder, 'continue'), 'c\n')
    argv = ['bochs-bin', '-q', '-f', os.path.join(folder, 'bochsrc'), '-rc', os.path.join(folder, 'continue')]
    return Machine(argv, env={**os.environ, 'TERM': 'xterm'}, log=log)


def join(parts, out):
    with open(out, 'wb') as f:
        for part in parts:
            with open(part, 'rb') as p:
                shutil.copyfileobj(p, f, 1 << 20)
    return out


def write(path, text):
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
