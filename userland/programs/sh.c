// SPDX-License-Identifier: MIT
/*
 * sh [-c TEXT | FILE] - a shell: lists, pipelines, redirection, subshells, quotes
 *
 *	list	 = and-or { (";" | "&" | newline) and-or }
 *	and-or	 = pipeline { ("&&" | "||") pipeline }
 *	pipeline = command { "|" command }
 *	command	 = ( "(" list ")" | word { word } ) { ("<" | ">" | ">>") word }
 *
 * A line is parsed into a tree before any of it runs, so that a line with a mistake in it does nothing. Every node is
 * run in one of two ways: run() in this process, which must survive, or become() in a child, which never comes back. Only
 * cd, exit and wait alone in a pipeline are run by the shell itself, because a child could not do them for it.
 *
 * In a pipeline every command is a child of the shell, and the shell closes its own copies of the pipe as soon as both
 * neighbours have theirs: a reader would wait for ever for the end of a pipe that the shell holds open.
 *
 * Words: '...' is literal, "..." too (there are no variables but $?), a backslash protects the next character (in "...": of
 * \ " and $ only), # begins a comment. The status of a command that a signal killed is 128 plus its number; 127 not found, 126 not executable, 2 a mistake
 * in the text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { COMMAND, SUBSHELL, PIPELINE, AND, OR, SEQUENCE, BACKGROUND };

struct redirection {
	int fd, flags;
	char *path;
	struct redirection *next;
};

/**
 * struct node - a piece of a line
 * @words: of a COMMAND, NULL at the end
 * @left, @right: of a PIPELINE, AND, OR, SEQUENCE; a SUBSHELL and BACKGROUND have only @left
 * @to: redirections of a COMMAND or SUBSHELL, in their order
 */
struct node {
	enum kind kind;
	char **words;
	size_t nwords;
	struct node *left, *right;
	struct redirection *to;
};

static int last_status;
static int is_child;
static const char *where;	/* what is left to parse */
static const char *mistake;	/* in words, once something is wrong */

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "sh: out of memory\n");
		exit(2);
	}
	return p;
}

static struct node *node(enum kind kind, struct node *left, struct node *right)
{
	struct node *n = need(calloc(1, sizeof(*n)));

	n->kind = kind;
	n->left = left;
	n->right = right;
	return n;
}

static void drop(struct node *n)
{
	if (!n)
		return;
	drop(n->left);
	drop(n->right);
	for (size_t i = 0; i < n->nwords; i++)
		free(n->words[i]);
	free(n->words);
	while (n->to) {
		struct redirection *r = n->to;

		n->to = r->next;
		free(r->path);
		free(r);
	}
	free(n);
}

/* --- parsing --------------------------------------------------------------------------------------------------------- */

static void skip_blanks(void)
{
	while (*where == ' ' || *where == '\t' || (*where == '\\' && where[1] == '\n'))
		where += *where == '\\' ? 2 : 1;
	if (*where == '#')
		while (*where && *where != '\n')
			where++;
}

static int take(const char *token)
{
	size_t n = strlen(token);

	skip_blanks();
	if (strncmp(where, token, n))
		return 0;
	/* "&" is not the first half of "&&" */
	if (n == 1 && strchr("&|", *token) && where[1] == *token)
		return 0;
	where += n;
	return 1;
}

static void wrong(const char *what)
{
	if (!mistake)
		mistake = what;
}

/* A word, or NULL when there is none here. */
static char *word(void)
{
	size_t n = 0, room = 32;
	char *text, quote = 0;

	skip_blanks();
	if (!*where || strchr("|&;()<>\n", *where))
		return NULL;
	text = need(malloc(room));
	for (; *where; where++) {
		char c = *where;

		if (!quote && strchr(" \t|&;()<>\n", c))
			break;
		if (!quote && (c == '\'' || c == '"')) {
			quote = c;
			continue;
		}
		if (c == quote) {
			quote = 0;
			continue;
		}
		if (c == '\\' && where[1] && (!quote || (quote == '"' && strchr("\\\"$", where[1]))))
			c = *++where;
		else if (c == '$' && where[1] == '?' && quote != '\'') {
			/* known only when it runs: a mark that no text can contain */
			c = '\1';
			where++;
		}
		if (n + 1 == room)
			text = need(realloc(text, room *= 2));
		text[n++] = c;
	}
	text[n] = 0;
	if (quote)
		wrong("a quote has no end");
	return text;
}

static struct node *list(int closed);

/* One redirection is taken when there is one. */
static int redirection(struct node *n)
{
	struct redirection *r, **end = &n->to;
	int flags, fd = 1;

	if (take(">>"))
		flags = O_WRONLY | O_CREAT | O_APPEND;
	else if (take(">"))
		flags = O_WRONLY | O_CREAT | O_TRUNC;
	else if (take("2>"))
		flags = O_WRONLY | O_CREAT | O_TRUNC, fd = 2;
	else if (take("<"))
		flags = O_RDONLY, fd = 0;
	else
		return 0;
	r = need(calloc(1, sizeof(*r)));
	r->flags = flags;
	r->fd = fd;
	r->path = word();
	if (!r->path)
		wrong("a redirection has no file");
	while (*end)
		end = &(*end)->next;
	*end = r;
	return 1;
}

static struct node *command(void)
{
	struct node *n;
	char *w;

	if (take("(")) {
		n = node(SUBSHELL, list(1), NULL);
		if (!take(")"))
			wrong("a parenthesis has no end");
		while (redirection(n))
			;
		return n;
	}
	n = node(COMMAND, NULL, NULL);
	for (;;) {
		if (redirection(n))
			continue;
		w = word();
		if (!w)
			break;
		n->words = need(realloc(n->words, (n->nwords + 2) * sizeof(*n->words)));
		n->words[n->nwords++] = w;
		n->words[n->nwords] = NULL;
	}
	if (!n->nwords)
		wrong("a command is missing");
	return n;
}

static struct node *pipeline(void)
{
	struct node *left = command();

	if (!mistake && take("|"))
		return node(PIPELINE, left, pipeline());
	return left;
}

static struct node *and_or(void)
{
	struct node *left = pipeline();

	while (!mistake) {
		if (take("&&"))
			left = node(AND, left, pipeline());
		else if (take("||"))
			left = node(OR, left, pipeline());
		else
			break;
	}
	return left;
}

/* Up to the end of the text, or to the ")" that @closed announces. NULL for an empty one. */
static struct node *list(int closed)
{
	struct node *all = NULL;

	for (;;) {
		struct node *one;

		while (take(";") || take("\n"))
			;
		skip_blanks();
		if (mistake || !*where || *where == ')')
			break;
		one = and_or();
		if (take("&"))
			one = node(BACKGROUND, one, NULL);
		else if (*where && !strchr(";\n)", *where))
			wrong("this cannot stand here");
		all = all ? node(SEQUENCE, all, one) : one;
	}
	if (*where == ')' && !closed)
		wrong("a parenthesis has no beginning");
	return all;
}

/* --- running --------------------------------------------------------------------------------------------------------- */

static int run(struct node *n);

/*
 * The end of this process. A child must not go through exit(): that would set the offset of the script's open file, which it
 * shares with the shell, back to where this copy of the stream had come to.
 */
static _Noreturn void leave(int status)
{
	fflush(stdout);
	if (is_child)
		_exit(status);
	exit(status);
}

static pid_t child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	is_child |= !pid;
	if (pid < 0)
		fprintf(stderr, "sh: fork: %s\n", strerror(errno));
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0)
		return 2;
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int redirect(const struct redirection *r)
{
	for (; r; r = r->next) {
		int fd = open(r->path, r->flags | O_CLOEXEC, 0666);

		if (fd < 0 || dup2(fd, r->fd) < 0) {
			fprintf(stderr, "sh: %s: %s\n", r->path, strerror(errno));
			return -1;
		}
		if (fd != r->fd)
			close(fd);
	}
	return 0;
}

/* The words as they are now: $? is replaced. They live until the process ends or the next call. */
static char **expand(struct node *n)
{
	static char **made;
	static size_t nmade;

	for (size_t i = 0; i < nmade; i++)
		free(made[i]);
	free(made);
	nmade = n->nwords;
	made = need(calloc(nmade + 1, sizeof(*made)));
	for (size_t i = 0; i < nmade; i++) {
		const char *from = n->words[i];
		size_t size = 1;
		FILE *f = need(open_memstream(&made[i], &size));

		for (; *from; from++)
			if (*from == '\1')
				fprintf(f, "%d", last_status);
			else
				putc(*from, f);
		fclose(f);
	}
	return made;
}

/* Runs @n as this process, whose end it is. */
static _Noreturn void become(struct node *n)
{
	char **words;

	if (redirect(n->to))
		leave(1);
	if (n->kind != COMMAND)
		leave(run(n->kind == SUBSHELL ? n->left : n));
	words = expand(n);
	if (!strcmp(words[0], "cd") || !strcmp(words[0], "exit") || !strcmp(words[0], "wait"))
		leave(run(n));
	execvp(words[0], words);
	fprintf(stderr, "sh: %s: %s\n", words[0], errno == ENOENT ? "not found" : strerror(errno));
	leave(errno == ENOENT ? 127 : 126);
}

static int run_pipeline(struct node *n)
{
	int in = -1, end[2] = { -1, -1 }, status = 0;
	pid_t last = -1, pids[256];
	size_t count = 0;

	for (; n; n = n->kind == PIPELINE ? n->right : NULL) {
		struct node *one = n->kind == PIPELINE ? n->left : n;

		end[0] = end[1] = -1;
		if (count == sizeof(pids) / sizeof(pids[0])) {
			fprintf(stderr, "sh: a pipeline is too long\n");
			break;
		}
		if (n->kind == PIPELINE && pipe(end)) {
			fprintf(stderr, "sh: pipe: %s\n", strerror(errno));
			break;
		}
		last = child();
		if (!last) {
			if (in >= 0 && dup2(in, 0) < 0)
				leave(2);
			if (end[1] >= 0 && dup2(end[1], 1) < 0)
				leave(2);
			if (in > 0)
				close(in);
			if (end[0] >= 0)
				close(end[0]);
			if (end[1] > 1)
				close(end[1]);
			become(one);
		}
		if (in >= 0)
			close(in);
		if (end[1] >= 0)
			close(end[1]);
		in = end[0];
		if (last < 0)
			break;
		pids[count++] = last;
	}
	if (in >= 0)
		close(in);
	for (size_t i = 0; i < count; i++)
		status = wait_for(pids[i]);
	return n ? 2 : status;
}

/* What only the shell itself can do. Returns 0 when it is none of that. */
static int builtin(struct node *n, int *status)
{
	char **words = expand(n);

	if (!strcmp(words[0], "exit"))
		leave(words[1] ? atoi(words[1]) : last_status);
	if (!strcmp(words[0], "wait")) {
		while (wait(NULL) > 0 || errno == EINTR)
			;
		*status = 0;
		return 1;
	}
	if (strcmp(words[0], "cd"))
		return 0;
	*status = 0;
	if (chdir(words[1] ? words[1] : getenv("HOME") ? getenv("HOME") : "/")) {
		fprintf(stderr, "sh: cd: %s: %s\n", words[1] ? words[1] : "home", strerror(errno));
		*status = 1;
	}
	return 1;
}

/* Runs @n and comes back with its status. */
static int run(struct node *n)
{
	int status = 0;
	pid_t pid;

	if (!n)
		return 0;
	switch (n->kind) {
	case SEQUENCE:
		run(n->left);
		status = run(n->right);
		break;
	case AND:
		status = run(n->left);
		if (!status)
			status = run(n->right);
		break;
	case OR:
		status = run(n->left);
		if (status)
			status = run(n->right);
		break;
	case PIPELINE:
		status = run_pipeline(n);
		break;
	case BACKGROUND:
		pid = child();
		if (!pid) {
			/* it shall not take what is typed for the shell */
			int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

			if (null >= 0)
				dup2(null, 0);
			become(n->left);
		}
		status = pid < 0 ? 2 : 0;
		break;
	case COMMAND:
		if (builtin(n, &status))
			break;
		/* fall through */
	case SUBSHELL:
		pid = child();
		if (!pid)
			become(n);
		status = wait_for(pid);
		break;
	}
	last_status = status;
	return status;
}

static void run_text(const char *text)
{
	struct node *all;

	where = text;
	mistake = NULL;
	all = list(0);
	if (mistake) {
		fprintf(stderr, "sh: %s\n", mistake);
		last_status = 2;
	} else {
		run(all);
	}
	drop(all);
}

int main(int argc, char **argv)
{
	FILE *in = stdin;
	char *line = NULL;
	size_t room = 0;

	if (argc == 3 && !strcmp(argv[1], "-c")) {
		run_text(argv[2]);
		return last_status;
	}
	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fprintf(stderr, "usage: sh [-c TEXT | FILE]\n");
		return 2;
	}
	if (argc == 2) {
		in = fopen(argv[1], "re");
		if (!in) {
			fprintf(stderr, "sh: %s: %s\n", argv[1], strerror(errno));
			return 127;
		}
	} else {
		/* what is read ahead here would be missing for the commands */
		setvbuf(stdin, NULL, _IONBF, 0);
	}
	for (;;) {
		if (in == stdin && isatty(0))
			fputs("$ ", stderr);
		if (getline(&line, &room, in) < 0)
			break;
		run_text(line);
	}
	free(line);
	return last_status;
}
