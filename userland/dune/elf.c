// SPDX-License-Identifier: MIT
/*
 * elf.c - ELF files: opening, sections, segments, loading one
 *
 * Nothing in a file is believed. Every offset and size is checked against the file's (or the memory's) before it is used, in 64 bits and without
 * overflow; tables are read whole, so that a file that changes meanwhile is seen in one state; the string table gets a 0 behind it, and a name
 * that begins outside of it is an error. What a segment's addresses mean is the caller's to decide: dune_elf_load_ph() maps over whatever is
 * there, in the lower half.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys.h"

#define TABLE_MAX	(64u << 20)	/* bytes of a table: what is bigger is no program */

/* How long the file is; 0: cannot be told. */
static uint64_t size_of(const struct dune_elf *elf)
{
	struct stat st;

	if (elf->mem)
		return elf->len > 0 ? elf->len : 0;
	if (fstat(elf->fd, &st) || st.st_size < 0)
		return 0;
	return st.st_size;
}

/* All of [@off, @off + @len). 0, -EIO */
static int get(struct dune_elf *elf, void *dst, uint64_t off, uint64_t len)
{
	uint64_t size = size_of(elf);

	if (off > size || len > size - off)
		return -EIO;
	if (elf->mem) {
		memcpy(dst, elf->mem + off, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(elf->fd, dst, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		dst = (char *)dst + n;
		off += n;
		len -= n;
	}
	return 0;
}

/* A copy of [@off, @off + @len) and a 0 behind it, which the caller frees. */
static int get_new(struct dune_elf *elf, void *copy, uint64_t off, uint64_t len)
{
	char *p;
	int ret;

	if (len > TABLE_MAX)
		return -EINVAL;
	if (off > size_of(elf) || len > size_of(elf) - off)
		return -EIO;
	p = malloc(len + 1);
	if (!p)
		return -ENOMEM;
	ret = get(elf, p, off, len);
	if (ret) {
		free(p);
		return ret;
	}
	p[len] = 0;
	*(char **)copy = p;
	return 0;
}

static int open_common(struct dune_elf *elf)
{
	const unsigned char *id = elf->hdr.e_ident;
	int ret;

	elf->phdr = NULL;
	elf->shdr = NULL;
	elf->shdrstr = NULL;
	ret = get(elf, &elf->hdr, 0, sizeof(elf->hdr));
	if (!ret && (memcmp(id, ELFMAG, SELFMAG) || id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB || id[EI_VERSION] != EV_CURRENT ||
		     elf->hdr.e_version != EV_CURRENT || elf->hdr.e_machine != EM_X86_64))
		ret = -EINVAL;
	if (ret)
		dune_elf_close(elf);
	return ret;
}

int dune_elf_open(struct dune_elf *elf, const char *path)
{
	elf->mem = NULL;
	elf->len = 0;
	elf->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (elf->fd < 0)
		return -EIO;
	return open_common(elf);
}

int dune_elf_open_mem(struct dune_elf *elf, void *mem, int len)
{
	elf->fd = -1;
	elf->mem = mem;
	elf->len = len;
	if (!mem)
		return -EINVAL;
	return open_common(elf);
}

int dune_elf_close(struct dune_elf *elf)
{
	free(elf->phdr);
	free(elf->shdr);
	free(elf->shdrstr);
	elf->phdr = NULL;
	elf->shdr = NULL;
	elf->shdrstr = NULL;
	if (!elf->mem && elf->fd >= 0)
		close(elf->fd);
	elf->fd = -1;
	return 0;
}

int dune_elf_iter_ph(struct dune_elf *elf, dune_elf_phcb cb)
{
	int i, ret;

	if (!elf->phdr && elf->hdr.e_phnum) {
		if (elf->hdr.e_phentsize != sizeof(Elf64_Phdr))
			return -EINVAL;
		ret = get_new(elf, &elf->phdr, elf->hdr.e_phoff, elf->hdr.e_phnum * sizeof(Elf64_Phdr));
		if (ret)
			return ret;
	}
	for (i = 0; i < elf->hdr.e_phnum; i++) {
		ret = cb(elf, &elf->phdr[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_sections(struct dune_elf *elf)
{
	Elf64_Shdr *table, *names;
	char *text;
	int ret;

	if (elf->hdr.e_shentsize != sizeof(Elf64_Shdr) || elf->hdr.e_shstrndx >= elf->hdr.e_shnum)
		return -EINVAL;
	ret = get_new(elf, &table, elf->hdr.e_shoff, elf->hdr.e_shnum * sizeof(Elf64_Shdr));
	if (ret)
		return ret;
	names = &table[elf->hdr.e_shstrndx];
	ret = names->sh_type == SHT_STRTAB ? get_new(elf, &text, names->sh_offset, names->sh_size) : -EINVAL;
	if (ret) {
		free(table);
		return ret;
	}
	elf->shdr = table;
	elf->shdrstr = text;
	return 0;
}

int dune_elf_iter_sh(struct dune_elf *elf, dune_elf_shcb cb)
{
	uint64_t names;
	int i, ret;

	if (!elf->hdr.e_shnum)
		return 0;
	if (!elf->shdr) {
		ret = read_sections(elf);
		if (ret)
			return ret;
	}
	names = elf->shdr[elf->hdr.e_shstrndx].sh_size;
	for (i = 0; i < elf->hdr.e_shnum; i++) {
		/* the last byte of the table's copy is our 0 */
		if (elf->shdr[i].sh_name > names)
			return -EINVAL;
		ret = cb(elf, elf->shdrstr + elf->shdr[i].sh_name, i, &elf->shdr[i]);
		if (ret)
			return ret;
	}
	return 0;
}

int dune_elf_load_ph(struct dune_elf *elf, Elf64_Phdr *phdr, off_t off)
{
	const int flags = MAP_FIXED | MAP_PRIVATE;
	uint64_t start = phdr->p_vaddr + off, end, file_end, first, zero, bytes = size_of(elf);
	int prot = PROT_NONE;

	if (phdr->p_type != PT_LOAD || phdr->p_filesz > phdr->p_memsz || PGOFF(phdr->p_vaddr) != PGOFF(phdr->p_offset) || PGOFF(off))
		return -EINVAL;
	if (off < 0 ? (uint64_t)-off > phdr->p_vaddr : start < phdr->p_vaddr)
		return -EINVAL;
	if (start >= LOWER_HALF - PGSIZE || phdr->p_memsz > LOWER_HALF - PGSIZE - start)
		return -EINVAL;
	if (phdr->p_filesz && (phdr->p_offset > bytes || phdr->p_filesz > bytes - phdr->p_offset))
		return -EINVAL;
	if (!phdr->p_memsz)
		return 0;
	if (phdr->p_flags & PF_X)
		prot |= PROT_EXEC;
	if (phdr->p_flags & PF_R)
		prot |= PROT_READ;
	if (phdr->p_flags & PF_W)
		prot |= PROT_WRITE;

	first = PGADDR(start);
	file_end = start + phdr->p_filesz;
	end = PGADDR(start + phdr->p_memsz + PGMASK);
	zero = phdr->p_filesz ? PGADDR(file_end + PGMASK) : first;	/* from here on nothing is in the file */
	if (phdr->p_filesz) {
		/* The tail of the last page is cleared where the segment goes on behind the file's part: it must be writable for that. */
		bool tail = phdr->p_memsz > phdr->p_filesz && file_end < zero;
		bool touch = tail || elf->mem;
		void *p = mmap((void *)first, zero - first, touch ? PROT_READ | PROT_WRITE : prot, elf->mem ? flags | MAP_ANONYMOUS : flags,
			       elf->fd, elf->mem ? 0 : (off_t)PGADDR(phdr->p_offset));

		if (p != (void *)first)
			return -ENOMEM;
		if (elf->mem)
			memcpy((void *)start, elf->mem + phdr->p_offset, phdr->p_filesz);
		else if (tail)
			memset((void *)file_end, 0, zero - file_end);
		if (touch && mprotect((void *)first, zero - first, prot))
			return -ENOMEM;
	}
	if (end > zero && mmap((void *)zero, end - zero, prot, flags | MAP_ANONYMOUS, -1, 0) != (void *)zero)
		return -ENOMEM;
	return 0;
}

/* --- showing -------------------------------------------------------------------------------------------------------------------------- */

static int show_section(struct dune_elf *elf, const char *name, int number, Elf64_Shdr *s)
{
	static const char *const types[] = {
		"NULL", "PROGBITS", "SYMTAB", "STRTAB", "RELA", "HASH", "DYNAMIC", "NOTE", "NOBITS", "REL", "SHLIB", "DYNSYM", "?", "?",
		"INIT_ARRAY", "FINI_ARRAY", "PREINIT_ARRAY", "GROUP", "SYMTAB_SHNDX",
	};
	const char *type = s->sh_type < sizeof(types) / sizeof(types[0]) ? types[s->sh_type] : "UNKNOWN";

	(void)elf;
	dune_printf("  [%2d] %-16.200s %-16s %016lx %08lx\n", number, name, type, s->sh_addr, s->sh_offset);
	dune_printf("       %016lx %016lx %c%c%c%c%c %4u %4u %5lu\n", s->sh_size, s->sh_entsize, s->sh_flags & SHF_WRITE ? 'W' : ' ',
		    s->sh_flags & SHF_ALLOC ? 'A' : ' ', s->sh_flags & SHF_EXECINSTR ? 'X' : ' ', s->sh_flags & SHF_MERGE ? 'M' : ' ',
		    s->sh_flags & SHF_STRINGS ? 'S' : ' ', s->sh_link, s->sh_info, s->sh_addralign);
	return 0;
}

static int show_segment(struct dune_elf *elf, Elf64_Phdr *p)
{
	static const char *const types[] = { "NULL", "LOAD", "DYNAMIC", "INTERP", "NOTE", "SHLIB", "PHDR", "TLS" };
	const char *type = p->p_type < sizeof(types) / sizeof(types[0]) ? types[p->p_type] : "UNKNOWN";

	(void)elf;
	dune_printf("  %-20s 0x%016lx 0x%016lx 0x%016lx\n", type, p->p_offset, p->p_vaddr, p->p_paddr);
	dune_printf("  %-20s 0x%016lx 0x%016lx  %c%c%c    %lx\n", "", p->p_filesz, p->p_memsz, p->p_flags & PF_R ? 'R' : ' ',
		    p->p_flags & PF_W ? 'W' : ' ', p->p_flags & PF_X ? 'X' : ' ', p->p_align);
	return 0;
}

int dune_elf_dump(struct dune_elf *elf)
{
	int ret;

	dune_printf("--- ELF Dump ---\nSection Headers:\n");
	dune_printf("  [Nr] %-16s %-16s %-16s %s\n", "Name", "Type", "Address", "Offset");
	dune_printf("       %-16s %-16s %s %s %s  %s\n", "Size", "EntSize", "Flags", "Link", "Info", "Align");
	ret = dune_elf_iter_sh(elf, show_section);
	if (ret)
		return ret;
	dune_printf("Program Headers:\n");
	dune_printf("  %-20s %-18s %-18s %s\n", "Type", "Offset", "VirtAddr", "PhysAddr");
	dune_printf("  %-20s %-18s %-18s %s   %s\n", "", "FileSiz", "MemSize", "Flags", "Align");
	return dune_elf_iter_ph(elf, show_segment);
}
