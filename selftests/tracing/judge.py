# SPDX-License-Identifier: MIT
"""What selftests/tracing/in-vm has printed, judged: used by check/tracing.suite and tracing-vmx.suite. Prints TAP."""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SVG = '{http://www.w3.org/2000/svg}'

# What rs-faults does: function of the program, cause, how often.
KNOWN = [
    ('zero_fills', 'zero fill', 96), ('cow_copies', 'copy on write', 37), ('lazy_reads', 'read of untouched memory', 24),
    ('late_fills', 'zero fill', 24), ('file_reads', 'file mapped', 4), ('file_copies', "copy of a file's page", 10),
    ('shared_pages', 'zero fill', 12), ('upcalls', 'upcall', 7), ('signals', 'signal', 5), ('null_store', 'killed', 1),
    ('copyinstr', 'bad address', 3),
]
# Names of exits in rs_exit, and where --stats=json counts them.
EXITS = {
    'nested fault': 'npf', 'hypercall': 'hypercall', 'interrupt': 'interrupt', 'nmi': 'nmi', 'interrupt window': 'window', 'cpuid': 'cpuid',
    'rdmsr': 'msr', 'wrmsr': 'msr', 'io': 'io', 'control register': 'cr', 'debug register': 'dr', 'hlt': 'hlt', 'exception': 'exception',
    'triple fault': 'shutdown', 'xsetbv': 'other', 'refused instruction': 'other', 'entry refused': 'other', 'unknown': 'other',
}
POINTS = ['rs_vm_created', 'rs_vm_ended', 'rs_vcpu_created', 'rs_vcpu_ended', 'rs_enter', 'rs_exit', 'rs_nested_fault', 'rs_invalidate',
          'rs_flush', 'rs_kick', 'rs_kick_all', 'rs_hypercall', 'rs_inject', 'rs_nic_doorbell', 'rs_nic_interrupt', 'rs_nic_awake', 'rs_nic_asleep']


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def check(self, what, ok, detail=''):
        self.n += 1
        print(f"{'ok' if ok else 'not ok'} {self.n} - {what}")
        if not ok:
            self.bad += 1
            for line in str(detail).splitlines()[:20]:
                print('#', line[:300])
        return ok

    def same(self, what, got, want):
        return self.check(what, got == want, f'got {got!r}, expected {want!r}')

    def end(self):
        print(f'1..{self.n}')
        return 1 if self.bad else 0


def pieces(text):
    parts = re.split(r'^=== (\S+)\n', text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def run(tap, *args):
    """vm/run with @args; the pieces that in-vm has printed, or None."""
    got = subprocess.run([os.path.join(TOP, 'vm', 'run'), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace')
    p = pieces(got.stdout)
    if tap.check('everything ran to its end', got.returncode == 0 and 'end' in p,
                 f'status {got.returncode}\n{got.stdout[-1500:]}\n{got.stderr[-1500:]}'):
        return p
    return None


def stats(p, name):
    return json.loads(p[name])


def plain(cause):
    return cause.replace(', of a table', '')


def known_faults(tap, p):
    f, s = json.loads(p['known.json']), stats(p, 'known.stats')['guest']
    tap.check('the traced program ends as always', 'status 0' in p['known.err'], p['known.err'])
    for symbol, cause, want in KNOWN:
        rows = [r for r in f['faults'] if r['symbol'] == symbol and plain(r['cause']) == cause]
        tap.same(f'{want} faults in {symbol}: {cause}', sum(r['count'] for r in rows), want)
        if symbol in ('zero_fills', 'cow_copies', 'late_fills', 'file_copies'):
            tap.same(f'as many pages in {symbol}', sum(r['pages'] for r in rows), want)
    tap.same('16 pages of a file by each fault', [r['pages'] for r in f['faults'] if r['symbol'] == 'file_reads'], [64])
    fills = [r for r in f['faults'] if r['cause'].endswith(', by a call')]
    tap.same('27 pages made present by mmap', sum(r['count'] for r in fills if r['cause'] == 'zero fill, by a call'), 27)
    tap.same('as many faults as the guest kernel counts', f['total'] - sum(r['count'] for r in fills), s['faults'])
    total = lambda *causes: sum(r['count'] for r in f['faults'] if plain(r['cause']).replace(', by a call', '') in causes)
    tap.same('as many pages of zeros', total('zero fill'), s['zero_fills'])
    tap.same('as many copies', total('copy on write', "copy of a file's page"), s['cow_copies'])
    tap.check('page tables were copied, not more than were counted', 0 < f['tables'] <= s['table_copies'], f['tables'])
    tap.same('nothing is lost', f['lost'], 0)
    by_count = [r['count'] for r in f['faults']]
    tap.check('the table begins with what is most', by_count == sorted(by_count, reverse=True), by_count)
    if 'known.table' in p:
        tap.check('the table as text has the same rows', re.search(r'^ +96 +96 +0 +zero fill +zero_fills\+0x', p['known.table'], re.M) and
                      re.search(r'^ +\d+ +\d+ +\d+  all$', p['known.table'], re.M), p['known.table'][-800:])


def flame(tap, name, text, what):
    """Well-formed, and the parts of each rectangle lie in it and are not more than it."""
    try:
        root = ET.fromstring(text.strip())
    except ET.ParseError as e:
        return tap.check(f'{name}: well-formed', False, e)
    tap.check(f'{name}: well-formed', root.tag == SVG + 'svg')
    boxes = []
    for g in root.iter(SVG + 'g'):
        r, title = g.find(SVG + 'rect'), g.find(SVG + 'title').text
        boxes.append((float(r.get('y')), float(r.get('x')), float(r.get('width')), int(g.get('data-n')), title))
    rows = sorted({b[0] for b in boxes}, reverse=True)
    whole = [b for b in boxes if b[0] == rows[0]]
    tap.check(f'{name}: one root over the whole width', len(whole) == 1 and abs(whole[0][2] - 1200) < .01, whole)
    bad = []
    for b in boxes:
        m = re.search(r'\((\d+) (\w+), ([\d.]+)%\)$', b[4])
        if not m or int(m[1]) != b[3] or m[2] != what or abs(b[2] - 1200 * b[3] / whole[0][3]) > .01:
            bad.append(f'width and title differ: {b}')
    for above, below in zip(rows[1:], rows):
        for parent in (b for b in boxes if b[0] == below):
            children = [b for b in boxes if b[0] == above and parent[1] - .001 <= b[1] < parent[1] + parent[2] - .001]
            if sum(c[3] for c in children) > parent[3] or sum(c[2] for c in children) > parent[2] + .01:
                bad.append(f'more than its parent: {parent}')
        stray = sum(b[3] for b in boxes if b[0] == above) - sum(b[3] for b in boxes if b[0] == below)
        if stray > 0:
            bad.append(f'row {above} has {stray} more than the one below')
    tap.check(f'{name}: widths are counts, and add up', not bad, '\n'.join(bad))
    tap.check(f'{name}: no script, nothing from elsewhere', '<script' not in text and 'href' not in text)
    return boxes


def known_flame(tap, p):
    boxes = flame(tap, 'flame graph of faults', p['known.svg'], 'faults')
    if not boxes:
        return
    count = {}
    for b in boxes:
        count[b[4].rsplit(' (', 1)[0]] = count.get(b[4].rsplit(' (', 1)[0], 0) + b[3]
    tap.check('its rectangles have causes, callers and places', any(k.startswith('zero_fills+0x') and n == 96 for k, n in count.items()) and
              'copy on write' in count and 'main (rs-faults)' in count and 'in_child (rs-faults)' in count, sorted(count))
    tap.check('a fault of the guest kernel has the way to it', any(k.startswith('sys_open') for k in count), sorted(count))


def times(text):
    return [float(m) for m in re.findall(r'^ *([\d.]+) \[', text, re.M)]


def known_log(tap, p):
    log, s = p['log'], stats(p, 'log.stats')['guest']
    t = times(log)
    tap.check('the log is in the order of time', len(t) > 300 and t == sorted(t))
    for word, want in (('exec', s['execs']), ('fault: ', s['faults']), ('signal: ', s['signals']), ('fork: process', s['forks']), ('exit: ', 3),
                       ('upcall: ', 7)):
        tap.same(f'{want} of "{word.strip()}"', len(re.findall(rf'\] \S+ {word}', log)), want)
    # Those of the program; one more is the guest kernel's own, at its start.
    begun = re.findall(r'\] \S+ call: (\w+).* at ', p['calls'])
    s = stats(p, 'calls.stats')['guest']
    tap.same('as many calls as the guest kernel has forwarded', len([c for c in begun if c != 'request']), s['forwarded'] - 1)
    begun = re.findall(r' call: (\w+)', p['calls'])
    ends = re.findall(r' call_end: (\w+)', p['calls'])
    tap.check('each call that begins ends, but for the last one', len(begun) - len(ends) <= 1, f'{len(begun)} and {len(ends)}')
    tap.check('events say whose they are', re.search(r'rs-faults/2 fault: write 0x200000000000: zero fill, pages 1 at zero_fills\+0x', log))
    tap.check('a child is its own process', re.search(r'rs-faults/4 fault: write 0x10: killed at null_store', log) and
              re.search(r'rs-faults/4 exit: status 0xb', log))
    smp = p['smp']
    t = times(smp)
    tap.check('with several CPUs, too', len(t) > 20 and t == sorted(t), smp[:600])
    tap.check('both threads are in it', re.search(r'/2 switch: ', smp) and re.search(r'/3 switch: ', smp), smp[:600])


def losses(tap, p):
    f, s = json.loads(p['many.json']), stats(p, 'many.stats')['guest']
    rows = [r for r in f['faults'] if r['symbol'] == 'zero_fills']
    tap.same('60,000 faults through a ring of 16,384', (sum(r['count'] for r in rows), f['lost']), (60000, 0))
    f, s = json.loads(p['lost.json']), stats(p, 'lost.stats')['guest']
    fills = sum(r['count'] for r in f['faults'] if r['cause'].endswith('by a call'))
    tap.check('with too small a buffer some are missing', f['lost'] > 10000, f['lost'])
    tap.same('and exactly those', f['total'] - fills + f['lost'], s['faults'])


def profile(tap, p):
    f = json.loads(p['profile.json'])
    tap.same('samples add up', sum(r['count'] for r in f['functions'] if r['name'] != '[idle]'), f['samples'])
    spin = sum(r['count'] for r in f['functions'] if r['name'] == 'spin_here (rs-faults)')
    tap.check('a program that spins: most samples are where it does', f['samples'] >= 20 and spin > .6 * f['samples'],
              json.dumps(f['functions'][:10]))
    boxes = flame(tap, 'flame graph of a profile', p['profile.svg'], 'samples')
    tap.check('with who called', boxes and any(b[4].startswith('__libc_start_call_main (rs-faults)') and b[3] >= spin for b in boxes), boxes)
    f = json.loads(p['kernel.json'])
    names = [r['name'] for r in f['functions']]
    tap.check('the guest kernel is seen inside', any('[guest kernel]' in n for n in names), names)


def by_kind(text):
    out = {}
    for kind in re.findall(r'rs_exit:\s+vm \d+ vcpu \d+ ([a-z ]+?) rip 0x', text):
        out[EXITS[kind]] = out.get(EXITS[kind], 0) + 1
    return out


def tracepoints(tap, name, text, counted):
    """Every exit that --stats=json counts, by kind, is an event, and what goes with it."""
    e, h = counted['exits'], counted['host']
    tap.same(f'{name}: exits by kind', by_kind(text), {k: v for k, v in e.items() if v and k != 'total'})
    n = lambda event: len(re.findall(rf'\b{event}:', text))
    tap.same(f'{name}: entries', n('rs_enter'), h['entries'])
    tap.same(f'{name}: hypercalls', n('rs_hypercall'), e['hypercall'])
    tap.same(f'{name}: nested faults', n('rs_nested_fault'), e['npf'])
    tap.same(f'{name}: injected', n('rs_inject'), h['injected'])
    tap.same(f'{name}: one VM, one vCPU, made and ended', [n(x) for x in POINTS[:4]], [1, 1, 1, 1])
    tap.check(f'{name}: a nested fault says what became of it', re.search(r'rs_nested_fault:\s+vm \d+ vcpu 0 gpa 0x[0-9a-f]+ .*(write|read).* error 0: ok',
                                                                          text), text[:800])


def main(tap, p, parts):
    for part in parts:
        try:
            part(tap, p)
        except (KeyError, ValueError, TypeError, IndexError) as e:
            tap.check(f'{part.__name__}: what was printed can be read', False, f'{type(e).__name__}: {e}')


def module(tap, p):
    tap.same('all tracepoints are there', sorted(set(p['tracefs.list'].split()) - {'enable', 'filter'}), sorted(POINTS))
    tracepoints(tap, 'tracefs', p['tracefs'], stats(p, 'tracefs.stats'))


def nic(tap, p):
    tap.check('ping over a NIC, traced', 'status 0' in p['nic.out'], p['nic.out'])
    n = {e: len(re.findall(rf'\b{e}: vm \d+ nic 0', p['nic'])) for e in POINTS[-4:]}
    tap.same('a doorbell for each of its hypercalls', n['rs_nic_doorbell'], len(re.findall(r'rs_hypercall: .* nr 0x3 ', p['nic'])))
    tap.check('the NIC wakes and sleeps in turn, and interrupts', n['rs_nic_doorbell'] > 0 and n['rs_nic_interrupt'] > 0 and
              0 <= n['rs_nic_awake'] - n['rs_nic_asleep'] <= 1, n)


def perf(tap, p):
    tracepoints(tap, 'perf record, perf script', p['perf'], stats(p, 'perf.stats'))
    tracepoints(tap, 'trace-cmd record, trace-cmd report', p['trace-cmd'], stats(p, 'trace-cmd.stats'))
    s = stats(p, 'perfstat.stats')
    got = {m[1]: int(m[0]) for m in re.findall(r'^(\d+),,ringside:(\w+),', p['perfstat'], re.M)}
    tap.same('perf stat', got, {'rs_exit': s['exits']['total'], 'rs_enter': s['host']['entries'], 'rs_hypercall': s['exits']['hypercall']})


def statuses(tap, p):
    for line in p['statuses'].split('\n'):
        if line:
            status, what = line.split(' ', 1)
            tap.same(f'exit status with {what}', status, '7' if what == 'exit 7' else '125')
    tap.same('of each', len(p['statuses'].split('\n')) > 7, True)


def names(tap, p):
    tap.check('a name is shown as it is, but for what a terminal would obey', 'e\u00e9?m' in p['name.table'] and '\u009b' not in p['name.table'],
              [line for line in p['name.table'].split('\n') if 'e\u00e9' in line][:3])
    tap.check('the same in JSON, escaped', 'e\u00e9\\u009bm' in p['name.json'] and '\u009b' not in p['name.json'],
              p['name.json'][:300])


def off(tap):
    """The image that `ringside run` loads has nothing of events in it; the other has the same code."""
    guest = os.path.join(TOP, 'build', 'userland', 'guest')
    names = lambda elf: set(re.findall(r'^[0-9a-f]+ [tT] (\S+)', subprocess.run(['nm', os.path.join(guest, elf)], stdout=subprocess.PIPE,
                                                                                  text=True, check=True).stdout, re.M))
    plain, traced = names('kernel.elf'), names('traced.elf')
    hooks = {n for n in traced if n.startswith('__wrap_')}
    tap.check('the image without events has no hook', not {n for n in plain if n.startswith('__wrap_') or n in ('event_place', 'event_name', 'event_sample_wanted')})
    tap.check('the one with events has all of them', 'event' in traced and len(hooks) >= 15, sorted(hooks))
    tap.check('it has all functions of the other', plain <= traced, sorted(plain - traced))
    used = set(re.findall(r'__wrap_\w+', subprocess.run(['objdump', '-d', os.path.join(guest, 'traced.elf')], stdout=subprocess.PIPE, text=True,
                                                        check=True).stdout))
    tap.check('every hook is called', hooks <= {m for m in used if m in hooks}, hooks)


if __name__ == '__main__':
    sys.exit('not a program: see check/tracing.suite')
