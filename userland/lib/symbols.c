// SPDX-License-Identifier: MIT
/*
 * Names of functions, from ELF symbol tables.
 *
 * A file is read as a whole and looked at in a copy, so that nobody changes it meanwhile. It is a
 * stranger's: every offset, size and index is checked before it is used, and a wrong one is the end of
 * it. The worst a file can do is to have wrong names, or none.
 *
 * .symtab if there is one, else .dynsym. A name covers [value, value + size); one without size (written
 * in assembly) goes on to the next.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "events.h"

#define FILE_MAX	(1ull << 30)
#define LOADS_MAX	64

struct symbol {
	uint64_t value, size;
	const char *name;
};

struct rs_symbols {
	const uint8_t *data;
	uint64_t size;
	struct {
		uint64_t offset, vaddr, size;
	} loads[LOADS_MAX];
	unsigned int nloads;
	struct symbol *sorted;
	size_t n;
};

static const void *part(const struct rs_symbols *s, uint64_t offset, uint64_t len)
{
	return offset <= s->size && len <= s->size - offset ? s->data + offset : NULL;
}

static int by_value(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	/* Of several names at one address, the one with a size is the function's. */
	return x->size < y->size ? -1 : x->size > y->size;
}

static bool read_loads(struct rs_symbols *s, const Elf64_Ehdr *h)
{
	unsigned int i;

	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (i = 0; i < h->e_phnum && s->nloads < LOADS_MAX; i++) {
		const void *at = part(s, h->e_phoff + (uint64_t)i * sizeof(Elf64_Phdr),
				      sizeof(Elf64_Phdr));
		Elf64_Phdr ph;

		if (!at)
			return false;
		memcpy(&ph, at, sizeof(ph));
		if (ph.p_type != PT_LOAD)
			continue;
		s->loads[s->nloads].offset = ph.p_offset;
		s->loads[s->nloads].vaddr = ph.p_vaddr;
		s->loads[s->nloads++].size = ph.p_filesz;
	}
	return true;
}

static bool section(const struct rs_symbols *s, const Elf64_Ehdr *h, unsigned int i, Elf64_Shdr *out)
{
	const void *at = i < h->e_shnum ? part(s, h->e_shoff + (uint64_t)i * sizeof(*out),
					       sizeof(*out)) : NULL;

	if (at)
		memcpy(out, at, sizeof(*out));
	return at;
}

static bool read_table(struct rs_symbols *s, const Elf64_Ehdr *h, const Elf64_Shdr *table)
{
	const uint8_t *syms = part(s, table->sh_offset, table->sh_size);
	uint64_t n = table->sh_size / sizeof(Elf64_Sym), i;
	const char *names;
	Elf64_Shdr strings;

	if (!syms || table->sh_entsize != sizeof(Elf64_Sym) ||
	    !section(s, h, table->sh_link, &strings))
		return false;
	names = part(s, strings.sh_offset, strings.sh_size);
	if (!names || !strings.sh_size || names[strings.sh_size - 1])
		return false;
	s->sorted = calloc(n + 1, sizeof(*s->sorted));
	for (i = 0; s->sorted && i < n; i++) {
		Elf64_Sym sym;
		unsigned int type;

		memcpy(&sym, syms + i * sizeof(sym), sizeof(sym));
		type = ELF64_ST_TYPE(sym.st_info);
		if ((type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC) ||
		    sym.st_shndx == SHN_UNDEF || sym.st_shndx >= SHN_LORESERVE ||
		    sym.st_name >= strings.sh_size || !names[sym.st_name] || !sym.st_value)
			continue;
		s->sorted[s->n].value = sym.st_value;
		s->sorted[s->n].size = sym.st_size;
		s->sorted[s->n++].name = names + sym.st_name;
	}
	if (s->n)
		qsort(s->sorted, s->n, sizeof(*s->sorted), by_value);
	return s->n;
}

static bool parse(struct rs_symbols *s)
{
	const void *head = part(s, 0, sizeof(Elf64_Ehdr));
	unsigned int type, i;
	Elf64_Shdr sh;
	Elf64_Ehdr h;

	if (!head)
		return false;
	memcpy(&h, head, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_shentsize != sizeof(sh) || !read_loads(s, &h))
		return false;
	for (type = SHT_SYMTAB;; type = SHT_DYNSYM) {
		for (i = 0; section(s, &h, i, &sh); i++)
			if (sh.sh_type == type && read_table(s, &h, &sh))
				return true;
		if (type == SHT_DYNSYM)
			return false;
	}
}

struct rs_symbols *rs_symbols_of_image(const void *data, size_t size)
{
	struct rs_symbols *s = data ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	s->data = data;
	s->size = size;
	if (parse(s))
		return s;
	free(s->sorted);
	free(s);
	return NULL;
}

struct rs_symbols *rs_symbols_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct rs_symbols *s = NULL;
	uint8_t *data = NULL;
	uint64_t done = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (uint64_t)st.st_size <= FILE_MAX)
		data = malloc(st.st_size);
	while (data && n > 0 && done < (uint64_t)st.st_size) {
		n = read(fd, data + done, st.st_size - done);
		if (n > 0)
			done += n;
	}
	close(fd);
	if (data)
		s = rs_symbols_of_image(data, done);
	if (!s)
		free(data);
	return s;
}

/* In the file's own terms. */
static bool to_address(const struct rs_symbols *s, uint64_t offset, uint64_t *addr)
{
	unsigned int i;

	for (i = 0; i < s->nloads; i++) {
		if (offset < s->loads[i].offset || offset - s->loads[i].offset >= s->loads[i].size)
			continue;
		*addr = offset - s->loads[i].offset + s->loads[i].vaddr;
		return true;
	}
	return false;
}

const char *rs_symbols_find(const struct rs_symbols *s, uint64_t at, bool address, uint64_t *delta)
{
	size_t low = 0, high;
	const struct symbol *sym;

	if (!s || (!address && !to_address(s, at, &at)))
		return NULL;
	/* The last one that begins at or before it */
	for (high = s->n; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (s->sorted[mid].value <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	sym = &s->sorted[low - 1];
	if (sym->size && at - sym->value >= sym->size)
		return NULL;
	*delta = at - sym->value;
	return sym->name;
}
