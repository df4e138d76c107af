// SPDX-License-Identifier: MIT
/*
 * What the host process takes out of the rings of events, with this program as the guest: events in
 * order and complete, counts of what is lost, and rings, names and ELF files that are not as they have
 * to be. Each case runs in a process of its own, since the library keeps one run per process; it is
 * built with sanitizers, which end it where something is read that is not there.
 *
 *	host_events_test [MUTATIONS [SEED]]
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "events.h"
#include "../../userland/cli/report.h"

#define NCPUS	2

static struct rs_sandbox sb;
static struct rs_vcpu vcpus[NCPUS];
static struct rs_boot boot;
static struct rs_trace_ring *rings[NCPUS];
static unsigned long mutations = 3000;
static unsigned int seed = 1;

static uint64_t dice(void)
{
	return random();
}

static bool begin(uint64_t memory)
{
	char why[RS_WHY];
	unsigned int i;

	sb.ncpus = NCPUS;
	sb.boot = &boot;
	sb.trace_gpa = RS_PAGE;
	sb.mem.arena_size = sb.trace_gpa + NCPUS * rs_events_ring_size();
	sb.mem.arena = calloc(1, sb.mem.arena_size);
	boot.tsc_khz = 1000;
	for (i = 0; i < NCPUS; i++) {
		rings[i] = (void *)(sb.mem.arena + sb.trace_gpa + i * rs_events_ring_size());
		vcpus[i].index = i;
		vcpus[i].caller.sb = &sb;
		sb.vcpus[i] = &vcpus[i];
	}
	return !rs_events_create(&sb, memory, why);
}

static struct rs_trace_event *slot(unsigned int cpu, uint64_t at)
{
	return (struct rs_trace_event *)(rings[cpu] + 1) + at % RS_TRACE_SLOTS;
}

/* As the guest kernel does it (userland/guest/events/ring.c). */
static bool put(unsigned int cpu, struct rs_trace_event e, const void *more, size_t len)
{
	struct rs_trace_ring *r = rings[cpu];
	unsigned int i;

	e.vcpu = cpu;
	e.more = (len + RS_TRACE_SLOT - 1) / RS_TRACE_SLOT;
	if (r->head - r->tail > RS_TRACE_SLOTS - 1u - e.more) {
		if (!r->closed)
			rs_events_take(&vcpus[cpu]);
		if (r->head - r->tail > RS_TRACE_SLOTS - 1u - e.more) {
			r->lost++;
			return false;
		}
	}
	*slot(cpu, r->head) = e;
	for (i = 0; i < e.more; i++) {
		size_t n = len < RS_TRACE_SLOT ? len : RS_TRACE_SLOT;

		memset(slot(cpu, r->head + 1 + i), 0, RS_TRACE_SLOT);
		memcpy(slot(cpu, r->head + 1 + i), more, n);
		more = (const char *)more + n;
		len -= n;
	}
	r->head += 1 + e.more;
	return true;
}

struct seen {
	uint64_t n, last, sum, places;
	bool ordered;
};

static int see(void *ctx, const struct rs_event *e)
{
	struct seen *s = ctx;
	unsigned int i;

	s->ordered &= e->tsc >= s->last;
	s->last = e->tsc;
	s->n++;
	s->sum += e->extra;
	for (i = 0; i < e->nplaces; i++)
		s->places += e->places[i];
	return 0;
}

static struct seen seen(void)
{
	struct seen s = { .ordered = true };

	rs_events_each(see, &s);
	return s;
}

/* --- cases: 0 is good; otherwise the line ----------------------------------------------------- */

#define WANT(x) do { if (!(x)) return __LINE__; } while (0)

static int in_order(void)
{
	uint64_t i, places[20], sum = 0, placed = 0;
	struct seen s;

	WANT(begin(64 << 20));
	/* More than a ring holds, of different sizes, so that they lie across its end, too. */
	for (i = 1; i <= 100000; i++) {
		struct rs_trace_event e = { .type = RS_TRACE_FAULT, .tsc = i, .extra = i };
		unsigned int n = i % 21, k;

		for (k = 0; k < n; k++)
			places[k] = i + k, placed += i + k;
		e.places = n;
		WANT(put(i * 7 % 3 == 0, e, places, n * 8));
		sum += i;
	}
	rs_events_finish(&sb);
	s = seen();
	WANT(s.n == 100000 && s.sum == sum && s.ordered && s.places == placed);
	WANT(!rs_events_lost() && !rs_events_broken());
	s = seen();
	WANT(s.n == 100000);	/* once more */
	return 0;
}

static int bounded(void)
{
	struct rs_trace_event e = { .type = RS_TRACE_FAULT };
	uint64_t i, written = 0;
	struct seen s;

	/* Memory for a ring and a bit: the rest is counted, exactly. */
	WANT(begin(RS_TRACE_SLOTS * RS_TRACE_SLOT + 4096));
	for (i = 0; i < 50000; i++) {
		e.tsc = i;
		written += put(0, e, NULL, 0);
	}
	rs_events_finish(&sb);
	s = seen();
	WANT(s.n && s.n < 50000 && s.n + rs_events_lost() == 50000 && written >= s.n);
	WANT(!rs_events_broken() && rings[0]->closed);
	return 0;
}

static int names(void)
{
	char text[200];
	uint64_t i;

	WANT(begin(4 << 20));
	memset(text, 'x', sizeof(text));
	for (i = 1; i < 100; i++) {
		struct rs_trace_event e = { .type = RS_TRACE_NAME, .extra = i, .addr = i };

		WANT(put(i % 2, e, text, i));
	}
	rs_events_finish(&sb);
	for (i = 1; i < 100; i++)
		WANT(rs_events_file(i) && strlen(rs_events_file(i)) == i);
	WANT(!rs_events_file(0) && !rs_events_file(100) && !rs_events_file(~0ull));
	WANT(seen().n == 0);
	WANT(!rs_events_where(5ull << 48).symbol);	/* there is no such file */
	WANT(!rs_events_where(0x1234).file && rs_events_where(~0ull).file);
	return 0;
}

/* One ring is wrong, in each of these ways; the other one's events are all there. */
static int broken(unsigned int how)
{
	struct rs_trace_event good = { .type = RS_TRACE_FAULT, .tsc = 1, .extra = 1 }, bad = good;
	unsigned int i;

	WANT(begin(4 << 20));
	for (i = 0; i < 10; i++)
		WANT(put(0, good, NULL, 0) && put(1, good, NULL, 0));
	switch (how) {
	case 0: rings[0]->head = 1 + RS_TRACE_SLOTS; break;
	case 1: rings[0]->head = ~0ull; break;
	case 2: bad.type = 0; break;
	case 3: bad.type = RS_TRACE_TYPES; break;
	case 4: bad.more = 255; break;
	case 5: bad.more = 1; break;	/* nothing follows */
	case 6: bad.places = 200; break;
	case 7: bad.type = RS_TRACE_NAME; bad.extra = 1; bad.addr = 1; break;	/* where? */
	case 8: bad.type = RS_TRACE_NAME; bad.extra = ~0ull; bad.addr = 5; break;
	case 9: rings[0]->head = 3; rs_events_take(&vcpus[0]); rings[0]->head = 1; break;
	}
	if (how > 1 && how < 9) {
		/* put() would set more right */
		*slot(0, rings[0]->head) = bad;
		rings[0]->head++;
	}
	rs_events_take(&vcpus[0]);
	rs_events_finish(&sb);
	i = seen().n;
	WANT(i >= 10 && i <= 20);
	WANT(how == 7 || how == 8 ? i == 20 : rs_events_broken());
	WANT(how == 9 || how < 2 || i == 20);
	WANT(!rs_events_file(1));
	return 0;
}

/* A guest that writes anything anywhere, while the host takes out what it finds. */
static int garbage(unsigned int s)
{
	unsigned int i, k;
	uint64_t n;

	WANT(begin(2 << 20));
	srandom(seed * 1000 + s);
	for (i = 0; i < 20; i++) {
		unsigned int cpu = dice() % NCPUS;

		for (k = 0; k < 200; k++) {
			struct rs_trace_event *e = slot(cpu, dice());

			memset(e, dice() % 4 ? dice() & 15 : dice(), 64);
			e->type = dice() % 16;
			e->more = dice() % 8 ? dice() % 4 : dice();
			e->extra = dice() % 2 ? dice() % 100 : ~0ull;
		}
		if (dice() % 8)
			rings[cpu]->head += dice() % 300;
		else
			rings[cpu]->head = dice();
		rings[cpu]->tail = dice();
		rs_events_take(&vcpus[cpu]);
	}
	rs_events_finish(&sb);
	n = seen().n;
	WANT(n <= 2 * RS_TRACE_SLOTS * 2);
	report_log(fopen("/dev/null", "w"), ~0ull);
	report_faults(fopen("/dev/null", "w"), s & 1);
	report_profile(fopen("/dev/null", "w"), s & 1, 100);
	flame_write(flame_faults("x"), fopen("/dev/null", "w"));
	return 0;
}

/* --- symbols --------------------------------------------------------------------------------- */

static uint64_t known(const struct rs_symbols *s, uint64_t address, const char *want)
{
	uint64_t delta = ~0ull;
	const char *name = rs_symbols_find(s, address, true, &delta);

	return name && !strcmp(name, want) ? delta : ~0ull;
}

static int own_symbols(void)
{
	struct rs_symbols *s = rs_symbols_of_image(rs_traced_image_start,
						   rs_traced_image_end - rs_traced_image_start);
	uint64_t d;

	WANT(s);
	WANT(!rs_symbols_find(s, 0, true, &d) && !rs_symbols_find(s, 0, false, &d));
	/* The guest kernel's text begins where it is linked. */
	WANT(rs_symbols_find(s, RS_KERNEL_BASE + RS_KERNEL_GPA + 4, true, &d));
	WANT(known(s, RS_KERNEL_BASE, "no") == ~0ull);
	WANT(rs_symbols_of("/proc/self/exe"));
	WANT(!rs_symbols_of("/dev/null") && !rs_symbols_of("/") && !rs_symbols_of("/no/such"));
	return 0;
}

/* Where the table of symbols lies in the image. */
static Elf64_Shdr symbol_table(void)
{
	const Elf64_Ehdr *h = (const void *)rs_traced_image_start;
	const Elf64_Shdr *sh = (const void *)(rs_traced_image_start + h->e_shoff);

	while (sh->sh_type != SHT_SYMTAB)
		sh++;
	return *sh;
}

static int bad_elf(unsigned int s)
{
	size_t size = rs_traced_image_end - rs_traced_image_start, i, n;
	uint8_t *copy = malloc(size);
	Elf64_Shdr table = symbol_table();
	struct rs_symbols *sym;
	uint64_t d, where;

	WANT(copy);
	srandom(seed * 1000 + s);
	for (i = 0; i < mutations / 20; i++) {
		memcpy(copy, rs_traced_image_start, size);
		for (n = 1 + dice() % 8; n; n--) {
			/* The header, the section headers at the end, the symbols, and anywhere */
			switch (dice() % 4) {
			case 0: where = dice() % 64; break;
			case 1: where = size - 1 - dice() % 2048; break;
			case 2: where = table.sh_offset + dice() % table.sh_size; break;
			default: where = dice() % size;
			}
			copy[where] = dice() % 2 ? dice() : 0xff;
		}
		n = dice() % 8 ? size : dice() % size;
		sym = rs_symbols_of_image(copy, n);
		for (n = 0; n < 20; n++) {
			rs_symbols_find(sym, RS_KERNEL_BASE + RS_KERNEL_GPA + dice() % 500000,
					true, &d);
			rs_symbols_find(sym, dice() % size, false, &d);
		}
	}
	return 0;
}

/* --- running --------------------------------------------------------------------------------- */

static int tests, failures;

static void run(const char *what, int (*fn)(void), int (*with)(unsigned int), unsigned int arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		int line = fn ? fn() : with(arg);

		if (line)
			printf("# line %d\n", line);
		fflush(stdout);
		_exit(line != 0);
	}
	waitpid(pid, &status, 0);
	tests++;
	failures += status != 0;
	printf("%sok %d - %s %u\n", status ? "not " : "", tests, what, arg);
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc > 1)
		mutations = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 0);
	run("events of two vCPUs, more than the rings hold, merged by time", in_order, NULL, 0);
	run("memory that is used up: what is lost is counted", bounded, NULL, 0);
	run("names of files", names, NULL, 0);
	for (i = 0; i < 10; i++)
		run("a ring that is wrong", NULL, broken, i);
	for (i = 0; i < 10; i++)
		run("a ring full of anything", NULL, garbage, i);
	run("symbols", own_symbols, NULL, 0);
	for (i = 0; i < 4; i++)
		run("symbols of damaged files", NULL, bad_elf, i);
	printf("1..%d\n", tests);
	return failures != 0;
}
