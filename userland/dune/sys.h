/* SPDX-License-Identifier: MIT */
/*
 * sys.h - libdune, inside: what its pure parts (page.c, vm.c, elf.c, procmap.c) need of the ring and of Linux
 *
 * sys.c has it on top of ringside/self.h; hosted tests have their own. All of it may be called in handlers, and with ring 3's FS base.
 */
#ifndef DUNE_SYS_H
#define DUNE_SYS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dune.h"
#include "../lib/raw.h"

#pragma GCC visibility push(hidden)

#define GIB		(1ull << 30)
#define LOWER_HALF	(1ull << 47)	/* the first address that is not the program's */
#define IDENTITY_END	(64 * GIB)	/* below, physical addresses are virtual ones */

/* Where the GiB of @va is in physical memory, + the offset; ~0: nowhere. */
uint64_t dune_sys_gpa(uintptr_t va);
/* The other way round; NULL: nothing is there. */
void *dune_sys_va(uint64_t gpa);
/* The 2 MiB of @va are the monitor's: no business of the program's, least of all of its ring 3. */
bool dune_sys_monitor(uintptr_t va);
/* All threads see what [@va, @va + @len) is now. @len ~0: everything */
void dune_sys_flush(uintptr_t va, size_t len);
/* The table that this thread uses; NULL: none, or it is outside. */
ptent_t *dune_sys_root(void);
/* Linux has something mapped at @va, as far as can be seen. */
bool dune_sys_mapped(uintptr_t va);
/* The CPU has 1 GiB pages. */
bool dune_sys_gigabytes(void);
/* SIGSEGV for the access at @addr, as Linux would send it. */
void dune_sys_segv(uintptr_t addr);

/* page.c: the pool's address range and its first pages. 0, -errno */
int dune_page_init(void);
/* The pool, and behind it pages[] */
#define DUNE_POOL_BYTES	(MAX_PAGES * PGSIZE + MAX_PAGES * sizeof(struct page))

/**
 * dune_vm_init() - pgroot
 * @user: ring 3 may access what is not protected otherwise
 * @upper: 256 entries to copy into the upper half, or NULL (later: dune_vm_upper())
 */
int dune_vm_init(bool user, const ptent_t *upper);
void dune_vm_upper(ptent_t *root, const ptent_t *upper);
/* Another ring: the upper half of every root, and entries for all that Linux has mapped. -ENOMEM */
int dune_vm_renew(const ptent_t *upper);
/* Entries for what Linux has mapped in [@start, @last]. -ENOMEM */
int dune_vm_populate(ptent_t *root, uintptr_t start, uintptr_t last);
/**
 * dune_vm_fill() - a page fault at @va in table @root that may be the library's: the 2 MiB around it were never touched
 * @always: whether Linux has something there or not. true: there is an entry now, try again
 */
bool dune_vm_fill(ptent_t *root, uintptr_t va, bool always);
/* The entry that maps @va, of any size and as it is (nothing is split or made): 0 if none; *@level its table's */
ptent_t dune_vm_peek(ptent_t *root, uintptr_t va, int *level);

/* procmap.c: one line, without its end. false: it is no line of /proc/PID/maps. e->path points into @line, which is changed. */
bool dune_procmap_parse(char *line, struct dune_procmap_entry *e);
/* Every mapping, in order, until @fn says false. 0, -errno (also when a line is unreadable) */
int dune_procmap_each(bool (*fn)(const struct dune_procmap_entry *e, void *arg), void *arg);

#pragma GCC visibility pop

#endif
