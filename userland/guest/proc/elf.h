/* SPDX-License-Identifier: MIT */
/*
 * elf.h - reading ELF files that nobody vouches for
 *
 * Pure: takes bytes, gives numbers that have been checked, touches nothing else. Every error comes
 * with a sentence for the user.
 */
#ifndef RS_PROC_ELF_H
#define RS_PROC_ELF_H

#include <linux/elf.h>
#include "../lib/types.h"

#define ELF_MAX_PHDRS	128	/* program headers at most */
#define ELF_MAX_LOADS	32	/* PT_LOAD segments at most */

/**
 * struct elf_load - one PT_LOAD segment
 *
 * Checked: vaddr + memsz lies in the lower half, filesz <= memsz, offset + filesz lies in the file,
 * vaddr and offset are equal modulo the page size, segments are in ascending order and share no
 * page.
 */
struct elf_load {
	u64 vaddr, memsz;
	u64 offset, filesz;
	u32 prot;		/* PROT_* */
};

/** struct elf_image - what exec needs to know of a file */
struct elf_image {
	bool relocatable;	/* ET_DYN: addresses are relative to wherever it is put */
	u64 entry;
	u64 phoff;		/* of the program headers in the file */
	u16 phnum;
	u64 phdr_vaddr;		/* of the program headers in memory, 0 when they are not loaded */
	u32 nloads;
	struct elf_load load[ELF_MAX_LOADS];
	u64 low, high;		/* page-aligned bounds of all segments */
	u64 align;		/* largest alignment of a segment, at least the page size */
	u64 interp_off, interp_len;	/* PT_INTERP, 0 without */
	bool exec_stack;	/* PT_GNU_STACK asks for it */
};

/**
 * elf_parse_header() - the file header in the first @len bytes of a file of @file_size
 * 0 with phoff, phnum, entry, relocatable set; -ENOEXEC, and *@why in words.
 */
int elf_parse_header(struct elf_image *img, const void *head, size_t len, u64 file_size,
		     const char **why);
/** elf_parse_phdrs() - @img->phnum program headers; fills in the rest. -ENOEXEC and *@why */
int elf_parse_phdrs(struct elf_image *img, const void *phdrs, u64 file_size, const char **why);

/**
 * struct elf_symtab - where a file's symbols lie; SHT_SYMTAB if there is one, else SHT_DYNSYM
 */
struct elf_symtab {
	u64 sym_off, nsyms;
	u64 str_off, str_size;
};

/**
 * elf_find_symtab() - from the section headers @sh (@n of them); false when there are no symbols
 */
bool elf_find_symtab(struct elf_symtab *st, const void *sh, u32 n, u64 file_size);
/**
 * elf_best_symbol() - looks through @n symbols for the one nearest at or below @addr (as in the
 * file)
 * @best: value, name offset and size of the best so far; start with .found = false
 */
struct elf_best {
	bool found;
	u64 value, size;
	u32 name;
};
void elf_best_symbol(struct elf_best *best, const void *syms, u64 n, u64 addr);

#endif
