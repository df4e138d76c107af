// SPDX-License-Identifier: MIT
/*
 * ringside top: VMs by what they use, again and again.
 *
 * Two looks at the counters give a rate; a VM seen for the first time shows its average since it was
 * made. On a terminal the table is drawn over itself, in whatever size the terminal has at that
 * moment, with the terminal's own screen put back at the end, also by Ctrl-C and for the time of a
 * Ctrl-Z; elsewhere the tables follow each other. Keys are read without waiting for Enter when standard
 * input is a terminal.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "vms.h"

#include "ringside/ringside.h"

static const char help[] =
	"usage: ringside top [--json] [-d SECONDS] [-n COUNT] [--sort cpu|exits|faults]\n"
	"\n"
	"Shows the VMs that use most, again and again.\n"
	"  -d SECONDS   from one look to the next (default 2; fractions allowed)\n"
	"  -n COUNT     end after so many tables\n"
	"  --sort       by CPU (default), exits per second, or nested faults per second\n"
	"  --json       one array per look, one line each\n"
	"Keys: q quits; c, e, f sort by CPU, exits, faults; space looks now.\n";

enum sort { BY_CPU, BY_EXITS, BY_FAULTS };

static const char *const sort_names[] = { "cpu", "exits", "faults" };

/* struct row - a VM, and what it did per second: CPU in percent of one */
struct row {
	struct rs_vm_info vm;
	double cpu, exits, faults, hypercalls;
	uint64_t nfaults, nhypercalls;
};

/* struct look - all VMs at one moment */
struct look {
	struct row *rows;
	size_t n;
	uint64_t at;			/* ns, CLOCK_MONOTONIC */
};

struct options {
	bool json;
	double delay;
	long count;
	enum sort sort;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* --- looking --------------------------------------------------------------------------------- */

static const struct row *find(const struct look *l, uint32_t id)
{
	size_t i;

	for (i = 0; l && i < l->n; i++)
		if (l->rows[i].vm.id == id)
			return &l->rows[i];
	return NULL;
}

/* Counters grow; what is younger than the look before it, or was read before its own, has not. */
static double grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void rates(struct row *r, const struct row *before, uint64_t ns)
{
	uint64_t span = before ? ns : r->vm.age;
	double s = (span ? span : 1) / 1e9;

	r->cpu = grown(r->vm.cpu_time, before ? before->vm.cpu_time : 0) / 1e7 / s;
	r->exits = grown(r->vm.exits, before ? before->vm.exits : 0) / s;
	r->faults = grown(r->nfaults, before ? before->nfaults : 0) / s;
	r->hypercalls = grown(r->nhypercalls, before ? before->nhypercalls : 0) / s;
}

static int look(struct rs_control *c, const struct look *before, struct look *l)
{
	int faults = rs_counter_index("exit_npf"), hypercalls = rs_counter_index("exit_hypercall");
	struct rs_counters *s = NULL;
	struct rs_vm_info *vms;
	size_t n, ns, i, k;
	int ret;

	ret = rs_control_vms(c, &vms, &n);
	if (ret)
		return ret;
	ret = rs_control_stats(c, 0, &s, &ns);
	l->rows = calloc(n ? n : 1, sizeof(*l->rows));
	if (ret || !l->rows) {
		free(vms);
		free(s);
		free(l->rows);
		return ret ? ret : -ENOMEM;
	}
	l->n = n;
	l->at = now();
	for (i = 0, k = 0; i < n; i++) {
		struct row *r = &l->rows[i];

		r->vm = vms[i];
		/* Both are by number; a VM that has gone in between has no counters. */
		while (k < ns && (s[k].vm < r->vm.id || (s[k].vm == r->vm.id && s[k].vcpu >= 0)))
			k++;
		if (k < ns && s[k].vm == r->vm.id) {
			r->nfaults = s[k].value[faults];
			r->nhypercalls = s[k].value[hypercalls];
		}
		rates(r, find(before, r->vm.id), before ? l->at - before->at : 0);
	}
	free(vms);
	free(s);
	return 0;
}

static enum sort sort_by;

static int order(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	double d = sort_by == BY_CPU ? y->cpu - x->cpu : sort_by == BY_EXITS ? y->exits - x->exits :
		   y->faults - x->faults;

	return d > 0 ? 1 : d < 0 ? -1 : x->vm.id < y->vm.id ? -1 : 1;
}

/* --- showing --------------------------------------------------------------------------------- */

static volatile sig_atomic_t stopped, quit;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void on_quit(int sig)
{
	quit = sig;
}

static void on_size(int sig)
{
	(void)sig;	/* poll() has been interrupted: that is all */
}

static struct termios cooked;
static bool keys, screen;
static bool changed;	/* the terminal's settings are ours */

static void terminal_take(void)
{
	struct termios raw;

	if (keys) {
		raw = cooked;
		raw.c_lflag &= ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		changed = !tcsetattr(0, TCSADRAIN, &raw);
	}
	if (screen)
		fputs("\033[?1049h\033[?25l\033[H\033[2J", stdout);
	fflush(stdout);
}

static void terminal_give(void)
{
	if (screen)
		fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (changed)
		tcsetattr(0, TCSADRAIN, &cooked);
	changed = false;
}

/* Ctrl-Z: the shell gets its terminal as it was. */
static void stop(void)
{
	stopped = 0;
	terminal_give();
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	signal(SIGTSTP, on_stop);
	terminal_take();
}

static void size_of(unsigned int *rows, unsigned int *columns)
{
	struct winsize w;

	if (ioctl(1, TIOCGWINSZ, &w) || !w.ws_row || !w.ws_col) {
		*rows = 24;
		*columns = 80;
		return;
	}
	*rows = w.ws_row;
	*columns = w.ws_col;
}

/* A line, cut where the terminal ends. */
static void line(const char *text, unsigned int columns)
{
	size_t n = 0;

	if (!screen) {
		puts(text);
		return;
	}
	/* UTF-8: what continues a character takes no column */
	while (text[n] && (columns || (text[n] & 0xc0) == 0x80)) {
		columns -= (text[n] & 0xc0) != 0x80;
		n++;
	}
	printf("%.*s\033[K\n", (int)n, text);
}

static const char *rate(char *to, size_t size, double n)
{
	if (n < 9999.5)
		snprintf(to, size, n < 99.95 ? "%.1f" : "%.0f", n);
	else
		snprintf(to, size, n < 9999500 ? "%.0fK" : "%.0fM", n / (n < 9999500 ? 1e3 : 1e6));
	return to;
}

static void table(const struct look *l, enum sort sort)
{
	char text[256], exits[16], faults[16], calls[16], mapped[16], age[16], name[80];
	unsigned int rows, columns, room, guest = 0, vcpus = 0;
	size_t i;

	size_of(&rows, &columns);
	/* the title, the head, the columns' last row stays empty so that nothing scrolls */
	room = screen ? (rows > 3 ? rows - 3 : 0) : ~0u;
	for (i = 0; i < l->n; i++) {
		guest += l->rows[i].vm.guest;
		vcpus += l->rows[i].vm.vcpus;
	}
	if (screen)
		fputs("\033[H", stdout);
	snprintf(text, sizeof(text), "ringside: %zu VM%s, %u vCPU%s, %u in the guest; by %s", l->n,
		 l->n == 1 ? "" : "s", vcpus, vcpus == 1 ? "" : "s", guest, sort_names[sort]);
	line(text, columns);
	snprintf(text, sizeof(text), "%5s %7s %-7s %5s %6s %8s %8s %8s %6s %8s %s", "ID", "PID",
		 "STATE", "vCPUs", "CPU%", "EXITS/S", "FAULT/S", "CALLS/S", "MAPPED", "AGE",
		 "PROGRAM");
	line(text, columns);
	for (i = 0; i < l->n && room; i++) {
		const struct row *r = &l->rows[i];

		if (room == 1 && l->n - i > 1) {
			snprintf(text, sizeof(text), "%5s %zu more", "...", l->n - i);
			line(text, columns);
			break;
		}
		snprintf(text, sizeof(text), "%5u %7u %-7s %5u %6.1f %8s %8s %8s %6s %8s %s",
			 r->vm.id, r->vm.pid, rs_vms_state(&r->vm), r->vm.vcpus, r->cpu,
			 rate(exits, sizeof(exits), r->exits),
			 rate(faults, sizeof(faults), r->faults),
			 rate(calls, sizeof(calls), r->hypercalls),
			 rs_text_size(mapped, sizeof(mapped),
				      r->vm.mapped_4k * 4096 + r->vm.mapped_2m * (2u << 20)),
			 rs_text_time(age, sizeof(age), r->vm.age),
			 rs_text_name(name, sizeof(name), rs_vms_name(&r->vm), 40));
		line(text, columns);
		room--;
	}
	if (screen)
		fputs("\033[J", stdout);
	else
		putchar('\n');
}

static void json_line(const struct look *l)
{
	struct rs_json j = { .out = stdout };
	size_t i;

	rs_json_open(&j, NULL, '[');
	for (i = 0; i < l->n; i++) {
		const struct row *r = &l->rows[i];

		rs_json_open(&j, NULL, '{');
		rs_vms_json(&j, &r->vm);
		rs_json_open(&j, "per_second", '{');
		rs_json_fixed(&j, "cpu_percent", r->cpu);
		rs_json_fixed(&j, "exits", r->exits);
		rs_json_fixed(&j, "faults", r->faults);
		rs_json_fixed(&j, "hypercalls", r->hypercalls);
		rs_json_close(&j, '}');
		rs_json_close(&j, '}');
	}
	rs_json_close(&j, ']');
	putchar('\n');
}

/* --- the loop -------------------------------------------------------------------------------- */

/* Until the next look, or a key that wants one. False: the end. */
static bool wait_for(struct options *o, uint64_t until)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	while (!quit) {
		uint64_t t = now();
		char key;
		int ret;

		if (stopped)
			stop();
		if (t >= until)
			return true;
		ret = poll(&p, keys ? 1 : 0, (until - t + 999999) / 1000000);
		if (ret < 0 && screen && !stopped)
			return !quit;	/* perhaps another size: draw */
		if (ret <= 0)
			continue;
		if (read(0, &key, 1) != 1) {
			keys = false;
			continue;
		}
		switch (key) {
		case 'q': case 'Q':
			return false;
		case 'c':
			o->sort = BY_CPU;
			return true;
		case 'e':
			o->sort = BY_EXITS;
			return true;
		case 'f':
			o->sort = BY_FAULTS;
			return true;
		case ' ':
			return true;
		}
	}
	return false;
}

static int show(struct rs_control *c, struct options *o)
{
	struct look before = { 0 }, l = { 0 };
	long told = 0;
	int ret;

	for (;;) {
		ret = look(c, told ? &before : NULL, &l);
		if (ret)
			break;
		sort_by = o->sort;
		qsort(l.rows, l.n, sizeof(*l.rows), order);
		if (o->json)
			json_line(&l);
		else
			table(&l, o->sort);
		free(before.rows);
		before = l;
		if (fflush(stdout)) {
			ret = -errno;
			break;
		}
		if (++told == o->count || !wait_for(o, l.at + (uint64_t)(o->delay * 1e9)))
			break;
	}
	free(before.rows);
	return ret;
}

static int parse(int argc, char **argv, struct options *o)
{
	int i;

	for (i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = NULL;
		bool ok;

		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(help, stdout);
			return 1;
		} else if (!strcmp(argv[i], "--json")) {
			o->json = true;
			continue;
		} else if (!strcmp(argv[i], "-d")) {
			o->delay = strtod(value, &end);
			ok = end != value && !*end && o->delay >= 0.01 && o->delay <= 1e6;
		} else if (!strcmp(argv[i], "-n")) {
			o->count = strtol(value, &end, 10);
			ok = end != value && !*end && o->count > 0;
		} else if (!strcmp(argv[i], "--sort")) {
			for (o->sort = BY_CPU; o->sort <= BY_FAULTS; o->sort++)
				if (!strcmp(value, sort_names[o->sort]))
					break;
			ok = o->sort <= BY_FAULTS;
		} else {
			rs_vms_say(0, argv[0], "there is no option \"%s\" (ringside top --help says more)",
				   argv[i]);
			return -1;
		}
		if (!ok) {
			rs_vms_say(0, argv[0], "\"%s\" is no value for %s", value, argv[i]);
			return -1;
		}
		i++;
	}
	return 0;
}

static void handlers(void)
{
	static const struct { int sig; void (*fn)(int sig); } table[] = {
		{ SIGINT, on_quit }, { SIGQUIT, on_quit }, { SIGTERM, on_quit }, { SIGHUP, on_quit },
		{ SIGTSTP, on_stop }, { SIGWINCH, on_size },
	};
	struct sigaction sa = { 0 };
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		sa.sa_handler = table[i].fn;	/* no SA_RESTART: poll() comes back */
		sigaction(table[i].sig, &sa, NULL);
	}
}

int rs_cli_top(int argc, char **argv)
{
	struct options o = { .delay = 2 };
	struct rs_control *c;
	int ret = parse(argc, argv, &o);

	if (ret)
		return ret > 0 ? 0 : RS_STATUS_SETUP;
	c = rs_vms_open(argv[0]);
	if (!c)
		return RS_STATUS_SETUP;
	screen = isatty(1) && !o.json;
	keys = screen && !tcgetattr(0, &cooked);
	if (screen)
		handlers();
	terminal_take();
	ret = show(c, &o);
	terminal_give();
	if (ret)
		rs_vms_say(0, argv[0], "%s",
			   *rs_control_error(c) ? rs_control_error(c) : strerror(-ret));
	rs_control_close(c);
	if (quit) {
		signal(quit, SIG_DFL);
		raise(quit);
	}
	return ret ? STATUS_REFUSED : 0;
}
