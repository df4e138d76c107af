// SPDX-License-Identifier: MIT
/*
 * ringside run: options in, an exit status out.
 *
 * Options end at the first word that is none, or at "--": what follows is the program's own.
 * Whatever is not understood is an error (125), never ignored, because an option that was meant to
 * confine would be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#include "ringside/ringside.h"

extern char **environ;

static const char usage[] =
	"usage: ringside run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
	"\n"
	"Runs PROGRAM in the ring 3 of a guest of its own. PROGRAM without a slash is looked up in "
	"PATH.\n"
	"\n";

static const char help[] =
	"What it may reach (nothing else; its own file, its interpreter and the libraries in /lib "
	"and /usr/lib are readable anyway):\n"
	"  --ro PATH            may be read\n"
	"  --rw PATH            may be read and written\n"
	"  --net none|host      the network: none (the default), or the host's\n"
	"  --net e1000,ip=A/LEN[,gw=A][,mtu=N][,mac=M][,name=NAME]\n"
	"                       one of its own, with address A, over an interface that is made for "
	"it (rs0); this machine is gw there\n"
	"  --allow-wx           memory that is writable and executable at once (just-in-time "
	"compilers)\n"
	"What it gets:\n"
	"  --memory SIZE        memory, with suffix K, M or G (default 1G); what it leaves in "
	"pipes, sockets and memfds does not count\n"
	"  --cpus N             CPUs of the guest, 1 to 16; 1 without it\n"
	"  --pids N             processes and threads at once, 1 to 30000 (default 4096)\n"
	"  --env NAME=VALUE     set in its environment, which is otherwise the caller's\n"
	"What you see:\n"
	"  --trace[=SET]        its system calls; SET: names of calls, all, file, desc, net, "
	"memory, process, signal, with commas\n"
	"  --explain            for every refusal, the rule that refused and the option that would "
	"allow it\n"
	"  --stats[=json]       what the run cost, at the end, on standard error\n"
	"  --verbose            messages of the guest kernel\n"
	"  --bench              answer the measuring calls of ringside_app.h\n"
	"  --debug              the guest kernel checks itself and fills freed memory with junk\n"
	"\n"
	"The exit status is PROGRAM's; 128+N when signal N ended it; 125 when the sandbox could "
	"not be set up; 126 when PROGRAM cannot be\n"
	"executed; 127 when there is no such program.\n";

static const char *command = "run";	/* the word the user has given */

/* A growing NULL-terminated list of strings. */
struct list {
	const char **items;
	size_t n;
};

static void add(struct list *l, const char *item)
{
	l->items = realloc(l->items, (l->n + 2) * sizeof(*l->items));
	if (!l->items) {
		fprintf(stderr, "ringside run: out of memory\n");
		exit(RS_STATUS_SETUP);
	}
	l->items[l->n++] = item;
	l->items[l->n] = NULL;
}

static int bad(const char *fmt, const char *a, const char *b)
{
	fprintf(stderr, "ringside %s: ", command);
	fprintf(stderr, fmt, a, b);
	fprintf(stderr, "\n(ringside %s --help says more)\n", command);
	return RS_STATUS_SETUP;
}

uint64_t rs_cli_size(const char *s)
{
	unsigned long long n;
	int shift = 0;
	char *end;

	if (*s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (errno)
		return 0;
	switch (*end) {
	case 'G': case 'g': shift = 30; break;
	case 'M': case 'm': shift = 20; break;
	case 'K': case 'k': shift = 10; break;
	}
	if (shift)
		end++;
	if (shift && (*end == 'i' && end[1] == 'B'))
		end += 2;
	else if (*end == 'B')
		end++;
	if (*end || n > ~0ull >> shift)
		return 0;
	return n << shift;
}

/* A number between 1 and @most; 0 when it is none. */
static unsigned int parse_number(const char *s, unsigned int most)
{
	unsigned long n;
	char *end;

	if (*s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtoul(s, &end, 10);
	return *end || errno || n > most ? 0 : n;
}

/* NAME=VALUE replaces what the list has for NAME. */
static void set_env(struct list *env, const char *item)
{
	size_t i, n = strcspn(item, "=") + 1;

	for (i = 0; i < env->n; i++)
		if (!strncmp(env->items[i], item, n)) {
			env->items[i] = item;
			return;
		}
	add(env, item);
}

int rs_cli_option(char **argv, int *i, const char *name, int needs, const char **value)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) || (argv[*i][n] && argv[*i][n] != '='))
		return 0;
	*value = argv[*i][n] ? argv[*i] + n + 1 : NULL;
	if (needs && !*value) {
		if (!argv[*i + 1])
			return -1;
		*value = argv[++*i];
	}
	return 1;
}

static const struct {
	const char *name;
	enum { MEMORY, CPUS, PIDS, RO, RW, NET, ENV, TRACE, EXPLAIN, STATS, VERBOSE, BENCH, DEBUG, ALLOW_WX } id;
	enum { NONE, OPTIONAL, NEEDED } value;
} options[] = {
	{ "--memory", MEMORY, NEEDED }, { "--cpus", CPUS, NEEDED },
	{ "--pids", PIDS, NEEDED },	{ "--ro", RO, NEEDED },
	{ "--rw", RW, NEEDED },		{ "--net", NET, NEEDED },
	{ "--env", ENV, NEEDED },
	{ "--trace", TRACE, OPTIONAL }, { "--explain", EXPLAIN, NONE },
	{ "--stats", STATS, OPTIONAL }, { "--verbose", VERBOSE, NONE },
	{ "--bench", BENCH, NONE },	{ "--debug", DEBUG, NONE },
	{ "--allow-wx", ALLOW_WX, NONE },
};

#define NR_OPTIONS	(sizeof(options) / sizeof(options[0]))

int rs_cli_run(int argc, char **argv)
{
	return rs_cli_run_more(argc, argv, NULL);
}

int rs_cli_run_more(int argc, char **argv, const struct rs_cli_more *more)
{
	struct rs_config c = RS_CONFIG_INIT;
	struct list ro = { 0 }, rw = { 0 }, env = { 0 }, args = { 0 };
	enum rs_stats_format stats = RS_STATS_OFF;
	const char *value;
	struct rs_result r;
	char word[256];
	FILE *messages;
	size_t k;
	int i, failed;

	if (more)
		command = more->name;
	for (i = 0; environ[i]; i++)
		add(&env, environ[i]);
	for (i = 1; i < argc; i++) {
		int found = 0;

		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1])
			break;
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(more ? more->help : usage, stdout);
			fputs(help, stdout);
			return 0;
		}
		found = more ? more->option(argv, &i) : 0;
		if (found < 0)
			return RS_STATUS_SETUP;
		if (found)
			continue;
		for (k = 0; k < NR_OPTIONS && !found; k++) {
			found = rs_cli_option(argv, &i, options[k].name,
					      options[k].value == NEEDED, &value);
			if (found < 0)
				return bad("%s needs a value%s", options[k].name, "");
			if (found && options[k].value == NONE && value)
				return bad("%s takes no value, but was given \"%s\"",
					   options[k].name, value);
			if (found)
				break;
		}
		if (!found)
			return bad("there is no option \"%s\"%s", argv[i], "");
		switch (options[k].id) {
		case MEMORY:
			c.memory = rs_cli_size(value);
			if (!c.memory)
				return bad("--memory: \"%s\" is no size%s", value, "");
			break;
		case CPUS:
			c.cpus = parse_number(value, RS_MAX_CPUS);
			if (!c.cpus)
				return bad("--cpus: \"%s\" is no number between 1 and 16%s", value,
					   "");
			break;
		case PIDS:
			c.pids = parse_number(value, RS_MAX_PIDS);
			if (!c.pids)
				return bad("--pids: \"%s\" is no number between 1 and 30000%s",
					   value, "");
			break;
		case RO:
			add(&ro, value);
			break;
		case RW:
			add(&rw, value);
			break;
		case NET:
			if (rs_net_set(value, &c, word, sizeof(word)))
				return bad("--net: %s%s", word, "");
			break;
		case ENV:
			if (!strchr(value, '=') || *value == '=')
				return bad("--env: \"%s\" is not NAME=VALUE%s", value, "");
			set_env(&env, value);
			break;
		case TRACE:
			c.trace = 1;
			if (rs_trace_set(value ? value : "all", c.trace_mask, word, sizeof(word)))
				return bad("--trace: there is no system call and no set \"%s\"%s",
					   word, "");
			break;
		case EXPLAIN:
			c.explain = 1;
			break;
		case STATS:
			if (value && strcmp(value, "json"))
				return bad("--stats: \"%s\" is no format; there is json%s", value,
					   "");
			stats = value ? RS_STATS_JSON : RS_STATS_TABLE;
			break;
		case VERBOSE:
			c.verbose = 1;
			break;
		case BENCH:
			c.bench = 1;
			break;
		case DEBUG:
			c.debug = 1;
			break;
		case ALLOW_WX:
			c.allow_wx = 1;
			break;
		}
	}
	if (i >= argc)
		return bad("which program?%s%s", "", "");
	for (k = i; argv[k]; k++)
		add(&args, argv[k]);
	c.program = argv[i];
	c.argv = args.items;
	c.envp = env.items;
	c.ro = ro.items;
	c.rw = rw.items;

	failed = more ? more->setup(&c) : 0;
	if (failed)
		return failed;
	failed = rs_run(&c, &r);
	messages = fdopen(r.message_fd, "w");
	if (!messages)
		return r.status;
	if (failed)
		fprintf(messages, "ringside: %s\n", r.error);
	if (more && r.counts.entries)
		more->end(messages, &r);
	if (r.counts.entries)
		rs_print_counts(messages, &r.counts, stats);
	fflush(messages);
	return r.status;
}
