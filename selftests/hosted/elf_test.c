// SPDX-License-Identifier: MIT
/*
 * elf_test.c - the ELF reader against real, broken and random files
 *
 * The files are this test itself (dynamic, PIE) and a small one built here. Each mutation is read
 * from a heap buffer of exactly its size, so that a byte read too much is found by ASan; whatever
 * is accepted must keep every promise that elf.h makes, because exec relies on them without looking
 * again.
 */
#include <linux/mman.h>
#include "core.h"
#include "../../userland/guest/proc/elf.h"

#define MUTATIONS	20000

static u8 *file;
static size_t file_size;

static bool inside(u64 off, u64 len, u64 size)
{
	return off <= size && len <= size - off;
}

static void check_image(const struct elf_image *img, u64 size)
{
	u64 end = 0;

	CHECK(img->nloads >= 1 && img->nloads <= ELF_MAX_LOADS && img->phnum <= ELF_MAX_PHDRS);
	for (u32 i = 0; i < img->nloads; i++) {
		const struct elf_load *l = &img->load[i];

		CHECK(l->memsz && l->filesz <= l->memsz && inside(l->vaddr, l->memsz, USER_TOP));
		CHECK(inside(l->offset, l->filesz, size));
		CHECK(!l->filesz || !((l->vaddr ^ l->offset) & ~PAGE_MASK));
		CHECK((l->vaddr & PAGE_MASK) >= end);
		end = page_up(l->vaddr + l->memsz);
		CHECK(end && !(l->prot & ~7u));
	}
	CHECK(img->low == (img->load[0].vaddr & PAGE_MASK) && img->high == end &&
	      img->low < img->high);
	CHECK(img->align >= PAGE_SIZE && img->align <= HUGE_SIZE &&
	      !(img->align & (img->align - 1)));
	CHECK(!img->interp_len || (img->interp_len <= 4096 &&
				   inside(img->interp_off, img->interp_len, size)));
	CHECK(inside(img->phoff, img->phnum * sizeof(Elf64_Phdr), size));
	if (img->phdr_vaddr)
		CHECK(img->phdr_vaddr >= img->low &&
		      img->phdr_vaddr + img->phnum * sizeof(Elf64_Phdr) <= img->high);
}

/* As exec does it: the header from the first page, the program headers wherever they are. */
static int parse(const u8 *data, size_t size, struct elf_image *img, const char **why)
{
	size_t head_len = min(size, (size_t)4096);
	u8 *head = malloc(head_len ? head_len : 1), *ph;
	int err;

	memcpy(head, data, head_len);
	*why = NULL;
	err = elf_parse_header(img, head, head_len, size, why);
	free(head);
	if (!err) {
		size_t n = img->phnum * sizeof(Elf64_Phdr);

		ph = malloc(n);
		memcpy(ph, data + img->phoff, n);
		err = elf_parse_phdrs(img, ph, size, why);
		free(ph);
	}
	CHECK(err == 0 || (err == -ENOEXEC && *why));
	if (!err)
		check_image(img, size);
	return err;
}

static void find_symbols(const u8 *data, size_t size)
{
	struct elf_best best = { .found = false };
	struct elf_symtab st;
	Elf64_Ehdr e;
	u8 *sh, *sym;
	size_t n;

	if (size < sizeof(e))
		return;
	memcpy(&e, data, sizeof(e));
	n = e.e_shnum * sizeof(Elf64_Shdr);
	if (!n || !inside(e.e_shoff, n, size))
		return;
	sh = malloc(n);
	memcpy(sh, data + e.e_shoff, n);
	if (elf_find_symtab(&st, sh, e.e_shnum, size)) {
		CHECK(inside(st.sym_off, st.nsyms * sizeof(Elf64_Sym), size) &&
		      inside(st.str_off, st.str_size, size));
		n = st.nsyms * sizeof(Elf64_Sym);
		sym = malloc(n ? n : 1);
		memcpy(sym, data + st.sym_off, n);
		elf_best_symbol(&best, sym, st.nsyms, rnd());
		free(sym);
	}
	free(sh);
}

static void test_real(void)
{
	struct elf_image img;
	const char *why;
	Elf64_Ehdr e;

	CHECK(!parse(file, file_size, &img, &why), "%s", why);
	CHECK(img.relocatable && img.interp_len && img.nloads >= 3 && img.phdr_vaddr &&
	      !img.exec_stack);
	CHECK(!memcmp(file + img.interp_off, "/lib", 4));
	/* The nearest symbol of main() is main. */
	{
		struct elf_best best = { .found = false };
		struct elf_symtab st;

		memcpy(&e, file, sizeof(e));
		CHECK(elf_find_symtab(&st, file + e.e_shoff, e.e_shnum, file_size));
		elf_best_symbol(&best, file + st.sym_off, st.nsyms, ~0ul);
		CHECK(best.found);
		for (u64 i = 0; i < st.nsyms; i++) {
			Elf64_Sym s;

			memcpy(&s, file + st.sym_off + i * sizeof(s), sizeof(s));
			if (strcmp((char *)file + st.str_off + s.st_name, "find_symbols"))
				continue;
			best.found = false;
			elf_best_symbol(&best, file + st.sym_off, st.nsyms, s.st_value + 5);
			CHECK(best.found && best.value == s.st_value && best.name == s.st_name);
		}
	}
	PASS("this program: segments, interpreter, symbols");
}

/* One change to a good file each, with the words the user will read. */
static void test_rejects(void)
{
	static const struct {
		const char *what;
		int off, size;
		u64 value;
		const char *why;
	} rows[] = {
		{ "magic", 0, 1, 0x7e, "not an ELF file" },
		{ "32-bit", EI_CLASS, 1, ELFCLASS32, "32-bit" },
		{ "class", EI_CLASS, 1, 9, "another kind" },
		{ "big endian", EI_DATA, 1, ELFDATA2MSB, "another kind" },
		{ "machine", offsetof(Elf64_Ehdr, e_machine), 2, 183, "another kind" },
		{ "object file", offsetof(Elf64_Ehdr, e_type), 2, ET_REL, "not a program" },
		{ "header size", offsetof(Elf64_Ehdr, e_phentsize), 2, 32, "wrong size" },
		{ "no headers", offsetof(Elf64_Ehdr, e_phnum), 2, 0, "without program headers" },
		{ "many headers", offsetof(Elf64_Ehdr, e_phnum), 2, 65535, "too many" },
		{ "headers beyond the file", offsetof(Elf64_Ehdr, e_phoff), 8, ~0ul - 100,
		  "cut off" },
	};
	struct elf_image img;
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u8 *copy = malloc(file_size);

		memcpy(copy, file, file_size);
		memcpy(copy + rows[i].off, &rows[i].value, rows[i].size);
		CHECK(parse(copy, file_size, &img, &why) == -ENOEXEC && strstr(why, rows[i].why),
		      "%s: %s", rows[i].what, why);
		free(copy);
	}
	CHECK(parse(file, 0, &img, &why) == -ENOEXEC && parse(file, 3, &img, &why) == -ENOEXEC);
	CHECK(parse((const u8 *)"#!/bin/sh\n", 10, &img, &why) == -ENOEXEC &&
	      strstr(why, "not an ELF"));
	for (size_t n = 0; n < file_size; n += n < 4096 ? 1 : 997)
		CHECK(parse(file, n, &img, &why) == -ENOEXEC || n > file_size / 2, "%zu bytes", n);
	PASS("each kind of bad file with its reason; cut off everywhere");
}

/* More segments than there is room for, and as many as there is. */
static void test_many_segments(void)
{
	size_t size = sizeof(Elf64_Ehdr) + ELF_MAX_PHDRS * sizeof(Elf64_Phdr);
	u8 *data = calloc(1, size);
	Elf64_Ehdr *e = (Elf64_Ehdr *)data;
	Elf64_Phdr *p = (Elf64_Phdr *)(e + 1);
	struct elf_image img;
	const char *why;

	memcpy(e, file, sizeof(*e));
	e->e_phoff = sizeof(*e);
	for (u32 i = 0; i < ELF_MAX_PHDRS; i++)
		p[i] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_vaddr = (i + 1) * 0x10000ul,
				     .p_memsz = 4096 };
	e->e_phnum = ELF_MAX_LOADS;
	CHECK(!parse(data, size, &img, &why) && img.nloads == ELF_MAX_LOADS);
	e->e_phnum = ELF_MAX_LOADS + 1;
	CHECK(parse(data, size, &img, &why) == -ENOEXEC && strstr(why, "too many segments"));
	e->e_phnum = ELF_MAX_PHDRS;
	CHECK(parse(data, size, &img, &why) == -ENOEXEC);
	/* Out of order. */
	e->e_phnum = 2;
	p[0].p_vaddr = 0x30000;
	CHECK(parse(data, size, &img, &why) == -ENOEXEC && strstr(why, "order"));
	free(data);
	PASS("as many segments as there is room for, and not one more");
}

static u64 nasty(void)
{
	static const u64 v[] = { 0, 1, 4095, 4096, 0x7fffffff, 0x80000000, 0xffffffff, USER_TOP,
				 USER_TOP - 1, 1ul << 47, 1ul << 63,
				 ~0ul, ~0ul - 4095, 2, 3, 6, 7 };

	return rnd() & 1 ? v[rnd_below(ARRAY_SIZE(v))] : rnd() >> rnd_below(64);
}

static void test_mutations(void)
{
	u64 accepted = 0, i;

	for (i = 0; i < MUTATIONS; i++) {
		size_t size = rnd_below(8) ? file_size : rnd_below(file_size + 1), n;
		u8 *copy = malloc(size ? size : 1);
		struct elf_image img;
		const char *why;
		Elf64_Ehdr e;

		memcpy(copy, file, size);
		memcpy(&e, file, sizeof(e));
		for (n = 1 + rnd_below(6); n; n--) {
			/*
			 * Mostly where it matters: file header, program headers, section headers.
			 */
			u64 base = rnd_below(3) == 0 ? 0 : rnd() & 1 ? e.e_phoff : e.e_shoff, at,
				   v = nasty();
			size_t len = 1ul << rnd_below(4);

			at = base + rnd_below(base == 0 ? 64 : base == e.e_phoff ? e.e_phnum * 56 :
					      e.e_shnum * 64);
			if (rnd_below(3))
				at &= ~7ul;
			if (at + len <= size)
				memcpy(copy + at, &v, len);
		}
		accepted += !parse(copy, size, &img, &why);
		find_symbols(copy, size);
		free(copy);
	}
	CHECK(accepted > 100 && accepted < MUTATIONS - 100, "%lu", accepted);
	PASS("%lu mutations, %lu of them still loadable: every promise kept", i, accepted);
}

int main(int argc, char **argv)
{
	FILE *f = fopen("/proc/self/exe", "rb");

	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	CHECK(f && !fseek(f, 0, SEEK_END));
	file_size = ftell(f);
	rewind(f);
	file = malloc(file_size);
	CHECK(fread(file, 1, file_size, f) == file_size);
	fclose(f);
	test_real();
	test_rejects();
	test_many_segments();
	test_mutations();
	free(file);
	DONE();
}
