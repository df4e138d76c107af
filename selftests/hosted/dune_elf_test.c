// SPDX-License-Identifier: MIT
/*
 * dune_elf_test.c - libdune's readers of what others have written: ELF files, of which every word may be a lie, and /proc/self/maps
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sys.h"
#include "tap.h"

static int tap_tests;
static uint64_t seed;
static char shown[1 << 16];
static size_t nshown;

static uint64_t rnd(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

int dune_printf(const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(shown + nshown, sizeof(shown) - nshown, fmt, args);
	va_end(args);
	nshown += nshown + n < sizeof(shown) ? n : 0;
	return n;
}

void dune_die(void)
{
	abort();
}

/* --- ELF ----------------------------------------------------------------------------------------------------------------------------------- */

/* A whole file: header, three segments, four sections, names, bytes to load. */
#define BYTES	(4 * PGSIZE)
static struct image {
	Elf64_Ehdr h;
	Elf64_Phdr p[3];
	Elf64_Shdr s[4];
	char names[32];
} image;
static unsigned char file[BYTES];
static char *area;		/* where segments may go: 16 pages */

static void build(void)
{
	static const char names[32] = "\0.text\0.data\0.shstrtab";
	unsigned int i;

	memset(&image, 0, sizeof(image));
	memcpy(image.h.e_ident, ELFMAG, SELFMAG);
	image.h.e_ident[EI_CLASS] = ELFCLASS64;
	image.h.e_ident[EI_DATA] = ELFDATA2LSB;
	image.h.e_ident[EI_VERSION] = EV_CURRENT;
	image.h.e_type = ET_DYN;
	image.h.e_machine = EM_X86_64;
	image.h.e_version = EV_CURRENT;
	image.h.e_phoff = offsetof(struct image, p);
	image.h.e_shoff = offsetof(struct image, s);
	image.h.e_phentsize = sizeof(Elf64_Phdr);
	image.h.e_phnum = 3;
	image.h.e_shentsize = sizeof(Elf64_Shdr);
	image.h.e_shnum = 4;
	image.h.e_shstrndx = 3;
	image.p[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1010, .p_vaddr = 0x1010, .p_filesz = 0x100, .p_memsz = 0x100 };
	image.p[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x2ff0, .p_vaddr = 0x3ff0, .p_filesz = 0x20, .p_memsz = 0x2000 };
	image.p[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 64, .p_filesz = 8 };
	image.s[1] = (Elf64_Shdr){ .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = 0x1010 };
	image.s[2] = (Elf64_Shdr){ .sh_name = 7, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_WRITE, .sh_addr = 0x3ff0 };
	image.s[3] = (Elf64_Shdr){ .sh_name = 13, .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct image, names), .sh_size = 23 };
	memcpy(image.names, names, sizeof(names));
	for (i = 0; i < BYTES; i++)
		file[i] = 1 + i % 251;
	memcpy(file, &image, sizeof(image));
}

static int nsections, nsegments;
static char last_name[64];

static int a_section(struct dune_elf *elf, const char *name, int number, Elf64_Shdr *s)
{
	CHECK(number == nsections && s == &elf->shdr[number]);
	nsections++;
	snprintf(last_name, sizeof(last_name), "%s", name);
	return elf->priv ? 5 : 0;
}

static int a_segment(struct dune_elf *elf, Elf64_Phdr *p)
{
	CHECK(p == &elf->phdr[nsegments]);
	nsegments++;
	return elf->priv ? 6 : 0;
}

/* The file as a file, and as memory of exactly its size, which the sanitizer watches. */
static int open_as(struct dune_elf *elf, int how, const char *path)
{
	elf->priv = NULL;
	if (how) {
		unsigned char *copy = malloc(BYTES);

		memcpy(copy, file, BYTES);
		return dune_elf_open_mem(elf, copy, BYTES);
	}
	return dune_elf_open(elf, path);
}

static void close_as(struct dune_elf *elf, int how)
{
	unsigned char *mem = elf->mem;

	CHECK(dune_elf_close(elf) == 0);
	if (how)
		free(mem);
}

static void put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && write(fd, file, BYTES) == BYTES);
	close(fd);
}

static void well_formed(const char *path)
{
	struct dune_elf elf;
	char tiny[64] = "\177ELF";
	int how, i;

	for (how = 0; how < 2; how++) {
		build();
		put(path);
		nsections = nsegments = 0;
		CHECK(open_as(&elf, how, path) == 0);
		CHECK(elf.hdr.e_phnum == 3 && !elf.phdr && !elf.shdr && !elf.shdrstr);
		CHECK(dune_elf_iter_sh(&elf, a_section) == 0 && nsections == 4 && !strcmp(last_name, ".shstrtab"));
		CHECK(dune_elf_iter_ph(&elf, a_segment) == 0 && nsegments == 3);
		elf.priv = &elf;
		nsections = nsegments = 0;
		CHECK(dune_elf_iter_sh(&elf, a_section) == 5 && nsections == 1);
		CHECK(dune_elf_iter_ph(&elf, a_segment) == 6 && nsegments == 1);
		nshown = 0;
		CHECK(dune_elf_dump(&elf) == 0);
		CHECK(strstr(shown, ".text") && strstr(shown, "PROGBITS") && strstr(shown, "LOAD") && strstr(shown, "NOTE"));

		memset(area, 0xee, 16 * PGSIZE);
		CHECK(dune_elf_load_ph(&elf, &elf.phdr[0], (off_t)area) == 0);
		CHECK(dune_elf_load_ph(&elf, &elf.phdr[1], (off_t)area) == 0);
		CHECK(!memcmp(area + 0x1010, file + 0x1010, 0x100) && !memcmp(area + 0x3ff0, file + 0x2ff0, 0x20));
		for (i = 0x3ff0 + 0x20; i < 0x5ff0; i++)
			CHECK(area[i] == 0, "byte %x", i);
		CHECK((unsigned char)area[0x2000] == 0xee && (unsigned char)area[0x6000] == 0xee && (unsigned char)area[0xfff] == 0xee);
		CHECK(mprotect(area, 16 * PGSIZE, PROT_READ | PROT_WRITE) == 0);
		close_as(&elf, how);
		CHECK(!elf.phdr && !elf.shdr && !elf.shdrstr);
	}
	CHECK(dune_elf_open(&elf, "/nowhere/at/all") == -EIO);
	CHECK(dune_elf_open(&elf, "/dev/null") == -EIO);
	CHECK(dune_elf_open_mem(&elf, tiny, sizeof(tiny)) == -EINVAL);
	CHECK(dune_elf_open_mem(&elf, tiny, 63) == -EIO && dune_elf_open_mem(&elf, tiny, 0) == -EIO && dune_elf_open_mem(&elf, tiny, -5) == -EIO);
	CHECK(dune_elf_open_mem(&elf, NULL, 100) == -EINVAL);
	PASS("files and memory: sections, segments, loading, what is around it stays");
}

static void lies(const char *path)
{
	static const struct {
		const char *what;
		size_t at, size;
		uint64_t value;
		int sh, ph;		/* what iterating answers then */
	} t[] = {
#define H(f, v, sr, pr)	{ #f, offsetof(struct image, h.f), sizeof(image.h.f), v, sr, pr }
#define S(n, f, v, sr)	{ #f, offsetof(struct image, s[n].f), sizeof(image.s[n].f), v, sr, 0 }
		H(e_phoff, ~0ull, 0, -EIO), H(e_phoff, BYTES - 8, 0, -EIO), H(e_phoff, 1ull << 63, 0, -EIO), H(e_phnum, 0xffff, 0, -EIO),
		H(e_phnum, 0, 0, 0), H(e_phentsize, 55, 0, -EINVAL), H(e_phentsize, 0, 0, -EINVAL),
		H(e_shoff, ~0ull, -EIO, 0), H(e_shoff, BYTES - 255, -EIO, 0), H(e_shnum, 0xffff, -EIO, 0), H(e_shnum, 0, 0, 0),
		H(e_shentsize, 63, -EINVAL, 0), H(e_shstrndx, 4, -EINVAL, 0), H(e_shstrndx, 0xffff, -EINVAL, 0), H(e_shstrndx, 1, -EINVAL, 0),
		S(3, sh_size, ~0ull, -EINVAL), S(3, sh_size, BYTES, -EIO), S(3, sh_offset, ~0ull - 5, -EIO), S(3, sh_type, SHT_NULL, -EINVAL),
		S(3, sh_size, 0, -EINVAL), S(2, sh_name, 24, -EINVAL), S(2, sh_name, ~0u, -EINVAL), S(2, sh_name, 23, 0),
	};
	struct dune_elf elf;
	unsigned int i;
	int how;

	for (how = 0; how < 2; how++)
		for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
			build();
			memcpy(file + t[i].at, &t[i].value, t[i].size);
			put(path);
			nsections = nsegments = 0;
			CHECK(open_as(&elf, how, path) == 0);
			CHECK(dune_elf_iter_sh(&elf, a_section) == t[i].sh, "%s %d", t[i].what, dune_elf_iter_sh(&elf, a_section));
			CHECK(dune_elf_iter_ph(&elf, a_segment) == t[i].ph, "%s", t[i].what);
			close_as(&elf, how);
		}
	/* the identification, byte for byte */
	for (i = 0; i < 20; i++) {
		if (i >= 7 && i < 18)
			continue;
		build();
		file[i] ^= 0x40;
		put(path);
		CHECK(dune_elf_open(&elf, path) == -EINVAL, "byte %d", i);
	}
	PASS("headers and tables that lie");
}

static void segments(const char *path)
{
	static const struct {
		uint64_t type, offset, vaddr, filesz, memsz;
		int64_t off;
		int ret;
	} t[] = {
		{ PT_NOTE, 0x1000, 0x1000, 16, 16, 0, -EINVAL },		/* none to be loaded */
		{ PT_LOAD, 0x1000, 0x1000, 17, 16, 0, -EINVAL },		/* more in the file than in memory */
		{ PT_LOAD, 0x1008, 0x1000, 16, 16, 0, -EINVAL },		/* not at the same place in a page */
		{ PT_LOAD, 0x1000, 0x1000, 16, ~0ull, 0, -EINVAL },
		{ PT_LOAD, 0x1000, ~0ull & ~0xfffull, 16, 0x2000, 0, -EINVAL },
		{ PT_LOAD, 0x1000, 1ull << 47, 16, 16, 0, -EINVAL },
		{ PT_LOAD, 0x1000, (1ull << 47) - 0x2000, 16, 0x2000, 0, -EINVAL },
		{ PT_LOAD, 0x1000, 0x1000, 16, 16, -0x2000, -EINVAL },		/* below 0 */
		{ PT_LOAD, 0x1000, 0x1000, 16, 16, 8, -EINVAL },
		{ PT_LOAD, 0x1000, 0x1000, 16, 16, INT64_MAX & ~0xfffll, -EINVAL },
		{ PT_LOAD, 0x1000, 0x1000, BYTES, BYTES, 0, -EINVAL },		/* beyond the file's end */
		{ PT_LOAD, ~0ull & ~0xfffull, 0x1000, 0x2000, 0x2000, 0, -EINVAL },
		{ PT_LOAD, 0x1000, 0x1000, 0, 0, 0, 0 },			/* nothing */
	};
	struct dune_elf elf;
	Elf64_Phdr p = { 0 };
	unsigned int i;
	int how;

	build();
	put(path);
	for (how = 0; how < 2; how++) {
		CHECK(open_as(&elf, how, path) == 0);
		for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
			p = (Elf64_Phdr){ .p_type = t[i].type, .p_flags = PF_R, .p_offset = t[i].offset, .p_vaddr = t[i].vaddr,
					  .p_filesz = t[i].filesz, .p_memsz = t[i].memsz };
			CHECK(dune_elf_load_ph(&elf, &p, t[i].off) == t[i].ret, "segment %d", i);
		}
		/* nothing in the file, all zeros; and the offset in the file is no matter then but for its place in the page */
		memset(area, 0xee, 4 * PGSIZE);
		p = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 1ull << 50, .p_vaddr = (uintptr_t)area + PGSIZE,
				  .p_memsz = PGSIZE + 1 };
		CHECK(dune_elf_load_ph(&elf, &p, 0) == 0);
		CHECK((unsigned char)area[PGSIZE - 1] == 0xee && !area[PGSIZE] && !area[3 * PGSIZE - 1] && (unsigned char)area[3 * PGSIZE] == 0xee);
		/* to a lower address */
		p = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 0x1000, .p_vaddr = (uintptr_t)area + 0x100000, .p_filesz = 16,
				  .p_memsz = 16 };
		CHECK(dune_elf_load_ph(&elf, &p, -0x100000) == 0 && !memcmp(area, file + 0x1000, 16));
		CHECK(mprotect(area, 16 * PGSIZE, PROT_READ | PROT_WRITE) == 0);
		close_as(&elf, how);
	}
	PASS("segments that no loader accepts");
}

static int quiet_section(struct dune_elf *elf, const char *name, int number, Elf64_Shdr *s)
{
	return strlen(name) > 1u << 20 && elf && number && s;
}

static int quiet_segment(struct dune_elf *elf, Elf64_Phdr *p)
{
	return !elf || !p;
}

static void random_bytes(const char *path)
{
	struct dune_elf elf;
	int i, j, opened = 0;

	for (i = 0; i < 20000; i++) {
		build();
		for (j = rnd() % 8 + 1; j; j--) {
			size_t at = rnd() % 4 ? sizeof(image.h.e_ident) + rnd() % (sizeof(image) - 16) : rnd() % sizeof(image);

			file[at] = rnd() % 3 ? rnd() : 0xff * (rnd() & 1);
		}
		if (open_as(&elf, 1, path)) {
			free(elf.mem);
			continue;
		}
		opened++;
		nshown = 0;
		dune_elf_iter_sh(&elf, quiet_section);
		dune_elf_iter_ph(&elf, quiet_segment);
		dune_elf_dump(&elf);
		close_as(&elf, 1);
	}
	CHECK(opened > 1000);
	PASS("random bytes in headers: %d files read", opened);
}

/* --- /proc/self/maps ----------------------------------------------------------------------------------------------------------------------- */

static void lines(void)
{
	static const struct {
		const char *line;
		bool good, r, w, x, p;
		uint64_t begin, end, offset;
		int type;
		const char *path;
	} t[] = {
		{ "55d0c9a00000-55d0c9a28000 r--p 00000000 08:01 1310766                    /usr/bin/with blank", 1, 1, 0, 0, 1, 0x55d0c9a00000,
		  0x55d0c9a28000, 0, PROCMAP_TYPE_FILE, "/usr/bin/with blank" },
		{ "7f0000000000-7f0000001000 rw-s 0001f000 00:05 4294967295                 /dev/zero (deleted)", 1, 1, 1, 0, 0, 0x7f0000000000,
		  0x7f0000001000, 0x1f000, PROCMAP_TYPE_FILE, "/dev/zero (deleted)" },
		{ "1000-2000 ---p 00000000 00:00 0 ", 1, 0, 0, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_ANONYMOUS, "" },
		{ "1000-2000 ---p 00000000 00:00 0", 1, 0, 0, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_ANONYMOUS, "" },
		{ "1000-2000 rwxp 00000000 00:00 0   [heap]", 1, 1, 1, 1, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_HEAP, "[heap]" },
		{ "1000-2000 rw-p 00000000 00:00 0   [stack]", 1, 1, 1, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_STACK, "[stack]" },
		{ "1000-2000 rw-p 00000000 00:00 0   [stack:77]", 1, 1, 1, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_STACK, "[stack:77]" },
		{ "1000-2000 r-xp 00000000 00:00 0   [vdso]", 1, 1, 0, 1, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_VDSO, "[vdso]" },
		{ "1000-2000 r--p 00000000 00:00 0   [vvar]", 1, 1, 0, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_VVAR, "[vvar]" },
		{ "1000-2000 r--p 00000000 00:00 0   [vvar_vclock]", 1, 1, 0, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_VVAR, "[vvar_vclock]" },
		{ "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]", 1, 0, 0, 1, 1, 0xffffffffff600000,
		  0xffffffffff601000, 0, PROCMAP_TYPE_VSYSCALL, "[vsyscall]" },
		{ "1000-2000 rw-p 00000000 00:00 0   [anon:x]", 1, 1, 1, 0, 1, 0x1000, 0x2000, 0, PROCMAP_TYPE_UNKNOWN, "[anon:x]" },
		{ "" }, { "x" }, { "1000" }, { "1000-" }, { "1000-2000" }, { "1000-2000 " }, { "1000-2000 rwx" }, { "1000-2000 rwxq 0 0:0 0" },
		{ "2000-1000 rwxp 0 0:0 0" }, { "1000-1000 rwxp 0 0:0 0" }, { "1000-2000 rwxp" }, { "1000-2000 rwxp 0" }, { "1000-2000 rwxp 0 0" },
		{ "1000-2000 rwxp 0 0:0" }, { "1000-2000 rwxp 0 0:0 " }, { "1000-2000 rwxp 0 0:0 0x" }, { "1000-2000 rwxp 0 0:0 abc" },
		{ "10000000000000000-20000000000000000 rwxp 0 0:0 0" }, { "1000-2000rwxp 0 0:0 0" }, { "-1000-2000 rwxp 0 0:0 0" },
	};
	struct dune_procmap_entry e;
	unsigned int i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *line = strdup(t[i].line);

		CHECK(dune_procmap_parse(line, &e) == t[i].good, "%s", t[i].line);
		if (t[i].good) {
			CHECK(e.begin == t[i].begin && e.end == t[i].end && e.offset == t[i].offset && e.type == t[i].type, "%s", t[i].line);
			CHECK(e.r == t[i].r && e.w == t[i].w && e.x == t[i].x && e.p == t[i].p && !strcmp(e.path, t[i].path), "%s", t[i].line);
		}
		free(line);
	}
	for (i = 0; i < 50000; i++) {
		char *line = strdup(t[rnd() % 12].line);
		int n = strlen(line);

		line[rnd() % n] = " 0f-:rwxps\n\t[]/z"[rnd() % 17];
		if (rnd() % 2)
			line[rnd() % n] = 0;
		dune_procmap_parse(line, &e);
		free(line);
	}
	PASS("lines of maps, right, wrong and at random");
}

static int found, all;
static uintptr_t previous;
static void look(const struct dune_procmap_entry *e)
{
	CHECK(e->begin >= previous);
	previous = e->end;
	all++;
	found += e->begin <= (uintptr_t)area && e->end > (uintptr_t)area && e->r && e->w && !e->x && e->p && e->type == PROCMAP_TYPE_ANONYMOUS;
	found += !!strstr(e->path, "a long name with blanks") && e->type == PROCMAP_TYPE_FILE && e->offset == PGSIZE;
}

static void self(const char *path)
{
	int fd = open(path, O_RDWR), i;
	void *p;

	/* more lines than fit into any buffer */
	for (i = 0; i < 200; i++)
		CHECK(mmap(NULL, PGSIZE, i & 1 ? PROT_READ : PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	p = mmap(NULL, PGSIZE, PROT_READ, MAP_PRIVATE, fd, PGSIZE);
	CHECK(fd >= 0 && p != MAP_FAILED);
	dune_procmap_iterate(look);
	CHECK(found == 2 && all > 200, "%d of %d", found, all);
	nshown = 0;
	dune_procmap_dump();
	CHECK(strstr(shown, "a long name with blanks") && strstr(shown, "[stack]"));
	close(fd);
	PASS("its own maps, all of them");
}

int main(int argc, char **argv)
{
	char path[] = "/tmp/a long name with blanks XXXXXX";
	int fd = mkstemp(path);

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	CHECK(fd >= 0);
	close(fd);
	area = mmap(NULL, 16 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	well_formed(path);
	lies(path);
	segments(path);
	random_bytes(path);
	lines();
	self(path);
	unlink(path);
	DONE();
}
