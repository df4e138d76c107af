/* SPDX-License-Identifier: MIT */
/*
 * faults.h - page faults and rights of pages for the examples: the ring's where there is one,
 * Linux's otherwise
 *
 * In the ring a fault is a call of the handler (rs_trap_handle()), and rights are those of single
 * pages (rs_page_protect()). Outside, a fault is SIGSEGV and rights are mprotect()'s. What a
 * handler may do is what a handler of SIGSEGV may do.
 */
#ifndef EXAMPLES_FAULTS_H
#define EXAMPLES_FAULTS_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <ringside/app.h>

#define PAGE 4096ul

/* True: the page can be accessed now. False: it is not ours, the program dies of it. */
static int (*faults_handler)(char *page, int write);

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline int in_ring(void)
{
	return (rs_app_features() & (RS_APP_UPCALL | RS_APP_PAGES)) ==
	       (RS_APP_UPCALL | RS_APP_PAGES);
}

static inline const char *which_way(void)
{
	return in_ring() ? "the ring's traps and page calls" : "Linux's signals and mprotect";
}

/* @rights: RS_PAGE_NONE, RS_PAGE_READ, RS_PAGE_WRITE */
static inline void set_rights(void *page, size_t len, unsigned int rights)
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE };

	if (in_ring() ? rs_page_protect(page, len, rights) : mprotect(page, len, prot[rights]))
		fail("rights of pages");
}

static inline int faults_ring(struct rs_trap_frame *f)
{
	return faults_handler((char *)(f->addr & -PAGE), f->cause == RS_CAUSE_WRITE)
		       ? RS_TRAP_RESUME
		       : RS_TRAP_SIGNAL;
}

static inline void faults_linux(int sig, siginfo_t *info, void *context)
{
	int write = ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] >> 1 & 1;

	if (!faults_handler((char *)((uintptr_t)info->si_addr & -PAGE), write))
		signal(sig, SIG_DFL);	/* and again */
}

/*
 * Faults of the calling thread go to @fn; @stack: bytes that it needs. Once more for each other
 * thread that shall have them.
 */
static inline void take_faults(int (*fn)(char *page, int write), size_t stack)
{
	struct sigaction sa = { .sa_sigaction = faults_linux, .sa_flags = SA_SIGINFO };

	faults_handler = fn;
	if (in_ring() ? rs_trap_stack_alloc(stack) || rs_trap_handle(14, faults_ring, 0)
		      : sigaction(SIGSEGV, &sa, NULL))
		fail("taking page faults");
}

static inline void *memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

/* --- the input: words of a file --------------------------------------------------------------- */

/* The whole file, with a NUL behind it; *@size may be NULL. */
static inline char *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "r");
	char *text;
	long n;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0)
		fail(path);
	rewind(f);
	text = malloc((size_t)n + 1);
	if (!text || fread(text, 1, (size_t)n, f) != (size_t)n)
		fail(path);
	fclose(f);
	text[n] = 0;
	if (size)
		*size = (size_t)n;
	return text;
}

static inline int is_letter(char c)
{
	return (c | 32) >= 'a' ? (c | 32) <= 'z' : c >= '0' && c <= '9';
}

/*
 * The next word of letters and digits at or behind *@at, NUL-terminated in place; NULL at the end
 * of the text.
 */
static inline const char *next_word(char **at)
{
	char *p = *at, *word;

	while (*p && !is_letter(*p))
		p++;
	word = p;
	while (is_letter(*p))
		p++;
	*at = *p ? p + 1 : p;
	*p = 0;
	return *word ? word : NULL;
}

#endif /* EXAMPLES_FAULTS_H */
