// SPDX-License-Identifier: MIT
/*
 * elf.c - checks on ELF files
 *
 * Structures are copied out of the buffer before they are looked at: nothing is assumed about
 * alignment. All sums are checked for overflow before they are compared.
 */
#include <linux/mman.h>
#include "elf.h"
#include "../arch/cpu.h"
#include "../lib/string.h"

static int bad(const char **why, const char *text)
{
	*why = text;
	return -ENOEXEC;
}

/* [off, off + len) lies in [0, size) */
static bool inside(u64 off, u64 len, u64 size)
{
	return off <= size && len <= size - off;
}

int elf_parse_header(struct elf_image *img, const void *head, size_t len, u64 file_size,
		     const char **why)
{
	Elf64_Ehdr e;

	memset(img, 0, sizeof(*img));
	if (len < SELFMAG || memcmp(head, ELFMAG, SELFMAG))
		return bad(why, "not an ELF file");
	if (len < EI_NIDENT)
		return bad(why, "ELF file cut off in its header");
	if (((const u8 *)head)[EI_CLASS] == ELFCLASS32)
		return bad(why, "32-bit program: only x86-64 programs can run");
	if (((const u8 *)head)[EI_CLASS] != ELFCLASS64 ||
	    ((const u8 *)head)[EI_DATA] != ELFDATA2LSB)
		return bad(why, "ELF file for another kind of machine");
	if (len < sizeof(e))
		return bad(why, "ELF file cut off in its header");
	memcpy(&e, head, sizeof(e));
	if (e.e_machine != EM_X86_64)
		return bad(why, "ELF file for another kind of machine");
	if (e.e_type != ET_EXEC && e.e_type != ET_DYN)
		return bad(why, "ELF file that is not a program (an object file?)");
	if (e.e_phentsize != sizeof(Elf64_Phdr))
		return bad(why, "ELF file whose program headers have a wrong size");
	if (!e.e_phnum)
		return bad(why, "ELF file without program headers");
	if (e.e_phnum > ELF_MAX_PHDRS)
		return bad(why, "ELF file with too many program headers");
	if (!inside(e.e_phoff, (u64)e.e_phnum * sizeof(Elf64_Phdr), file_size))
		return bad(why, "ELF file cut off in its program headers");
	img->relocatable = e.e_type == ET_DYN;
	img->entry = e.e_entry;
	img->phoff = e.e_phoff;
	img->phnum = e.e_phnum;
	return 0;
}

static u32 prot_of(u32 flags)
{
	return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
	       (flags & PF_X ? PROT_EXEC : 0);
}

static int add_load(struct elf_image *img, const Elf64_Phdr *p, u64 file_size, const char **why)
{
	struct elf_load *l = &img->load[img->nloads];
	u64 first, last;

	if (!p->p_memsz)
		return 0;
	if (img->nloads == ELF_MAX_LOADS)
		return bad(why, "ELF file with too many segments");
	if (p->p_filesz > p->p_memsz)
		return bad(why, "ELF segment that is larger in the file than in memory");
	if (!inside(p->p_offset, p->p_filesz, file_size))
		return bad(why, "ELF file cut off: a segment lies beyond its end");
	if (!inside(p->p_vaddr, p->p_memsz, USER_TOP))
		return bad(why, "ELF segment outside the address space");
	if ((p->p_vaddr ^ p->p_offset) & ~PAGE_MASK && p->p_filesz)
		return bad(why, "ELF segment that is not aligned to pages");
	first = p->p_vaddr & PAGE_MASK;
	last = page_up(p->p_vaddr + p->p_memsz);
	if (img->nloads && first < img->high)
		return bad(why, "ELF segments that overlap or are not in order");
	if (!img->nloads)
		img->low = first;
	img->high = last;
	if (p->p_align > img->align && !(p->p_align & (p->p_align - 1)) && p->p_align <= HUGE_SIZE)
		img->align = p->p_align;
	*l = (struct elf_load){
		.vaddr = p->p_vaddr, .memsz = p->p_memsz,
		.offset = p->p_offset, .filesz = p->p_filesz, .prot = prot_of(p->p_flags),
	};
	img->nloads++;
	if (inside(img->phoff, img->phnum * sizeof(Elf64_Phdr), l->offset + l->filesz) &&
	    img->phoff >= l->offset && !img->phdr_vaddr)
		img->phdr_vaddr = l->vaddr + (img->phoff - l->offset);
	return 0;
}

int elf_parse_phdrs(struct elf_image *img, const void *phdrs, u64 file_size, const char **why)
{
	Elf64_Phdr p;
	int i, err;

	img->align = PAGE_SIZE;
	for (i = 0; i < img->phnum; i++) {
		memcpy(&p, (const char *)phdrs + i * sizeof(p), sizeof(p));
		switch (p.p_type) {
		case PT_LOAD:
			err = add_load(img, &p, file_size, why);
			if (err)
				return err;
			break;
		case PT_INTERP:
			if (img->interp_len)
				return bad(why, "ELF file that names two interpreters");
			if (p.p_filesz < 2 || p.p_filesz > 4096 ||
			    !inside(p.p_offset, p.p_filesz, file_size))
				return bad(why, "ELF file with a bad interpreter name");
			img->interp_off = p.p_offset;
			img->interp_len = p.p_filesz;
			break;
		case PT_GNU_STACK:
			img->exec_stack = p.p_flags & PF_X;
			break;
		}
	}
	if (!img->nloads)
		return bad(why, "ELF file without anything to load");
	return 0;
}

bool elf_find_symtab(struct elf_symtab *st, const void *sh, u32 n, u64 file_size)
{
	bool found = false;
	Elf64_Shdr s, str;
	u32 i;

	for (i = 0; i < n; i++) {
		memcpy(&s, (const char *)sh + i * sizeof(s), sizeof(s));
		if (s.sh_type != SHT_SYMTAB && (s.sh_type != SHT_DYNSYM || found))
			continue;
		if (s.sh_entsize != sizeof(Elf64_Sym) || s.sh_link >= n ||
		    !inside(s.sh_offset, s.sh_size, file_size))
			continue;
		memcpy(&str, (const char *)sh + s.sh_link * sizeof(s), sizeof(s));
		if (str.sh_type != SHT_STRTAB || !inside(str.sh_offset, str.sh_size, file_size))
			continue;
		*st = (struct elf_symtab){
			.sym_off = s.sh_offset, .nsyms = s.sh_size / sizeof(Elf64_Sym),
			.str_off = str.sh_offset, .str_size = str.sh_size,
		};
		found = true;
		if (s.sh_type == SHT_SYMTAB)
			return true;
	}
	return found;
}

void elf_best_symbol(struct elf_best *best, const void *syms, u64 n, u64 addr)
{
	Elf64_Sym s;
	u64 i;

	for (i = 0; i < n; i++) {
		memcpy(&s, (const char *)syms + i * sizeof(s), sizeof(s));
		if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF ||
		    s.st_value > addr)
			continue;
		if (best->found && s.st_value < best->value)
			continue;
		*best = (struct elf_best){
			.found = true, .value = s.st_value, .size = s.st_size, .name = s.st_name,
		};
	}
}
