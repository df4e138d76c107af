// SPDX-License-Identifier: MIT
/*
 * The guest's memory before its first instruction.
 *
 * Guest physical                         here
 *	0 .. arena_size			arena: private anonymous memory, 2 MiB aligned so that Linux
 *					can use huge pages, guard areas around it
 *	window_gpa .. + window_size	file window: inaccessible until a file is mapped there,
 *					guard areas around it
 *
 *	vdso_gpa - vvar_size		this process's own [vvar] and [vdso], read-only, so that
 *					programs tell the time without an exit
 *
 * In the arena, from below: the slots of RS_CALL_SUBMIT, just below RS_KERNEL_GPA (not touched
 * before they are used, so most sandboxes never pay for them, and in small pages); the guest
 * kernel; page tables, boot page, shared pages, stacks, the strings of the first process;
 * free_gpa. What is small lies together, in one huge page as a rule: clearing one is a million
 * instructions.
 *
 * Virtual, built here as uapi/ringside_guest.h says: the direct map of arena and window (writable,
 * never executable), and the image by segments, 4 KiB pages, none both writable and executable.
 *
 * The image is our own, yet it is read as a stranger's: every offset is checked, so that a damaged
 * file is an error and nothing else.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "events.h"
#include "raw.h"
#include "threads.h"

#define GUARD		(2ull << 20)
#define WINDOW_SIZE	(64ull << 30)
#define WINDOW_SIZE_MIN	(4ull << 30)
/* One page of 1 GiB entries; RS_DIRECT_BASE is aligned to it. */
#define ADDRESSABLE	(512ull << 30)
#define IMAGE_MAX	(64ull << 20)
#define STACK_SIZE	16384ull
#define ARGS_MAX	(2ull << 20)
#define SLOTS_GPA	(RS_KERNEL_GPA - RS_SLOTS * sizeof(struct rs_slot))

_Static_assert(RS_KERNEL_GPA == RS_HUGE, "huge pages begin with the guest kernel");

#define PTE_P		(1ull << 0)
#define PTE_W		(1ull << 1)
#define PTE_A		(1ull << 5)
#define PTE_D		(1ull << 6)
#define PTE_PS		(1ull << 7)
#define PTE_G		(1ull << 8)
#define PTE_NX		(1ull << 63)
#define PTE_ADDR	0x000ffffffffff000ull

#define CR4_PAE		(1ull << 5)
#define CR4_PGE		(1ull << 7)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define CR4_UMIP	(1ull << 11)
#define CR4_FSGSBASE	(1ull << 16)
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_SMEP	(1ull << 20)
#define CR4_SMAP	(1ull << 21)
#define EFER_SCE	(1ull << 0)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define EFER_NXE	(1ull << 11)

#define HWCAP2_FSGSBASE	2

/* --- memory ---------------------------------------------------------------------------------- */

/*
 * Reserve @size bytes, aligned to 2 MiB, with inaccessible memory on both sides; what is inside is
 * inaccessible too.
 */
static void *reserve(uint64_t size)
{
	uint64_t total = size + 2 * GUARD + RS_HUGE;
	uint8_t *p =
		mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t at;

	if (p == MAP_FAILED)
		return NULL;
	at = ((uint64_t)p + GUARD + RS_HUGE - 1) & ~(RS_HUGE - 1);
	return (void *)at;
}

int rs_memory_create(struct rs_sandbox *sb, uint64_t memory, char *why)
{
	struct rs_mem *m = &sb->mem;
	uint64_t limit = ADDRESSABLE;
	void *arena;

	if (sb->engine.info.gpa_bits < 39)
		limit = 1ull << sb->engine.info.gpa_bits;
	m->arena_size = memory;
	m->window_gpa = (memory + RS_GIANT - 1) & ~(RS_GIANT - 1);
	m->window_size = WINDOW_SIZE;
	/* The vDSO comes behind the window. */
	limit -= RS_HUGE;
	while (m->window_gpa + m->window_size > limit && m->window_size > WINDOW_SIZE_MIN)
		m->window_size /= 2;
	if (m->window_gpa + m->window_size > limit) {
		snprintf(why, RS_WHY,
			 "%llu MiB of memory are more than this machine's %u-bit guest addresses "
			 "hold",
			 (unsigned long long)memory >> 20, sb->engine.info.gpa_bits);
		return -EINVAL;
	}
	m->arena = reserve(memory);
	if (!m->arena) {
		snprintf(why, RS_WHY,
			 "cannot reserve %llu MiB of address space for the guest's memory: %s",
			 (unsigned long long)memory >> 20, strerror(errno));
		return -ENOMEM;
	}
	arena = mmap(m->arena, memory, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (arena == MAP_FAILED) {
		snprintf(why, RS_WHY, "cannot get %llu MiB of memory for the guest: %s",
			 (unsigned long long)memory >> 20, strerror(errno));
		return -ENOMEM;
	}
	/* A kernel without huge pages refuses; then there are only more nested faults. */
	madvise(m->arena + RS_KERNEL_GPA, memory - RS_KERNEL_GPA, MADV_HUGEPAGE);
	madvise(m->arena, memory, MADV_DONTDUMP);
	m->window = reserve(m->window_size);
	if (!m->window) {
		snprintf(why, RS_WHY,
			 "cannot reserve %llu GiB of address space for files: %s (is RLIMIT_AS "
			 "set?)",
			 (unsigned long long)m->window_size >> 30, strerror(errno));
		return -ENOMEM;
	}
	return 0;
}

/*
 * The kernel maps [vvar] (one area or more, depending on its version) directly below [vdso]. Where
 * the two are not found like that, or the kernel was told to have no vDSO, programs use system
 * calls.
 */
void rs_vdso_find(struct rs_sandbox *sb)
{
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR), start, end, vvar = 0, vvar_end = 0,
		 vdso_end = 0;
	struct rs_mem *m = &sb->mem;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (strstr(line, "[vvar")) {
			if (vvar_end != start)
				vvar = start;
			vvar_end = end;
		} else if (strstr(line, "[vdso]")) {
			vdso_end = start == vdso ? end : 0;
		}
	}
	if (f)
		fclose(f);
	if (!vdso || !vdso_end || !vvar || vvar_end != vdso || vdso_end - vvar > RS_HUGE)
		return;
	m->vdso_hva = vvar;
	m->vvar_size = vdso - vvar;
	m->vdso_size = vdso_end - vdso;
	m->vdso_at = m->window_gpa + m->window_size;
}

/* --- placing things in the arena ------------------------------------------------------------- */

/**
 * struct place - where the next thing goes
 * @failed: the arena was too small; nothing was written
 */
struct place {
	struct rs_mem *m;
	uint64_t next;
	bool failed;
};

/*
 * The first access to what is placed is a write: a read would bring in Linux's huge page of zeros,
 * and the write after it would break that up into small pages for good.
 */
static uint64_t placed(struct place *p, uint64_t gpa)
{
	*(volatile uint8_t *)(p->m->arena + gpa) = 0;
	return gpa;
}

static uint64_t place(struct place *p, uint64_t size, uint64_t align)
{
	uint64_t at = (p->next + align - 1) & ~(align - 1);

	size = (size + RS_PAGE - 1) & ~(RS_PAGE - 1);
	if (at > p->m->arena_size || size > p->m->arena_size - at) {
		p->failed = true;
		/* Somewhere harmless; the caller looks at @failed before it starts the guest. */
		return RS_PAGE;
	}
	p->next = at + size;
	return placed(p, at);
}

static void *at(const struct rs_mem *m, uint64_t gpa)
{
	return m->arena + gpa;
}

/* --- page tables ----------------------------------------------------------------------------- */

static uint64_t new_table(struct place *p)
{
	return place(p, RS_PAGE, RS_PAGE);
}

/* The table that entry @index of the table at @table leads to; made when there is none. */
static uint64_t table_below(struct place *p, uint64_t table, unsigned int index)
{
	uint64_t *e = (uint64_t *)at(p->m, table) + index;

	if (!(*e & PTE_P))
		*e = new_table(p) | PTE_P | PTE_W | PTE_A;
	return *e & PTE_ADDR;
}

static unsigned int index_of(uint64_t va, int level)
{
	return va >> (12 + 9 * (level - 1)) & 511;
}

/* Map @gpa at @va with a page of @level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB). */
static void map_page(struct place *p, uint64_t root, uint64_t va, uint64_t gpa, int level,
		     uint64_t rights)
{
	uint64_t table = root;
	int l;

	for (l = 4; l > level && !p->failed; l--)
		table = table_below(p, table, index_of(va, l));
	if (p->failed)
		return;
	((uint64_t *)at(p->m, table))[index_of(va, level)] =
		gpa | rights | PTE_P | PTE_A | PTE_D | (level > 1 ? PTE_PS : 0);
}

/*
 * The direct map of [gpa, gpa + size). The arena's end need not be a multiple of 1 GiB: what is
 * beyond it has no memory behind it, and 2 MiB entries keep it unmapped.
 */
static void map_direct(struct place *p, uint64_t root, uint64_t gpa, uint64_t size, bool giant)
{
	uint64_t end = gpa + size;

	while (gpa < end && !p->failed) {
		int level = giant && !(gpa % RS_GIANT) && end - gpa >= RS_GIANT ? 3 : 2;

		map_page(p, root, RS_DIRECT_BASE + gpa, gpa, level, PTE_W | PTE_NX | PTE_G);
		gpa += level == 3 ? RS_GIANT : RS_HUGE;
	}
}

/* --- the guest kernel ------------------------------------------------------------------------ */

struct loaded {
	uint64_t entry;
	uint64_t size;		/* of the image in memory, page aligned, from RS_KERNEL_GPA */
};

static int bad_image(char *why, const char *what)
{
	snprintf(why, RS_WHY, "the guest kernel's image is damaged: %s", what);
	return -ENOEXEC;
}

static bool inside(const struct rs_image *image, uint64_t offset, uint64_t len)
{
	return offset <= image->size && len <= image->size - offset;
}

/* Check headers and segments and learn the size. */
static int check_image(const struct rs_image *image, const struct rs_mem *m, struct loaded *l,
		       char *why)
{
	const Elf64_Ehdr *h = image->data;
	const uint64_t base = RS_KERNEL_BASE + RS_KERNEL_GPA;
	unsigned int i;
	bool entry_ok = false;

	if (!inside(image, 0, sizeof(*h)) || memcmp(h->e_ident, ELFMAG, SELFMAG) ||
	    h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_type != ET_EXEC || h->e_machine != EM_X86_64)
		return bad_image(why, "no static x86-64 ELF file");
	if (h->e_phentsize != sizeof(Elf64_Phdr) ||
	    !inside(image, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)) || h->e_phoff % 8)
		return bad_image(why, "program headers");
	l->entry = h->e_entry;
	l->size = 0;
	for (i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *ph =
			(const Elf64_Phdr *)((const char *)image->data + h->e_phoff) + i;
		uint64_t end;

		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		if (!inside(image, ph->p_offset, ph->p_filesz) || ph->p_filesz > ph->p_memsz)
			return bad_image(why, "a segment lies outside the file");
		if (ph->p_vaddr < base || ph->p_vaddr - base > IMAGE_MAX || ph->p_memsz > IMAGE_MAX)
			return bad_image(why, "a segment lies outside the image's place");
		if (ph->p_flags & PF_W && ph->p_flags & PF_X)
			return bad_image(why, "a segment is writable and executable");
		end = ph->p_vaddr + ph->p_memsz - base;
		if (end > l->size)
			l->size = end;
		if (ph->p_flags & PF_X && h->e_entry >= ph->p_vaddr &&
		    h->e_entry - ph->p_vaddr < ph->p_filesz)
			entry_ok = true;
	}
	if (!entry_ok)
		return bad_image(why, "the entry point is in no executable segment");
	l->size = (l->size + RS_PAGE - 1) & ~(RS_PAGE - 1);
	if (l->size > IMAGE_MAX || RS_KERNEL_GPA + l->size > m->arena_size) {
		snprintf(why, RS_WHY, "the guest kernel needs %llu MiB: give it more --memory",
			 (unsigned long long)(RS_KERNEL_GPA + l->size) >> 20);
		return -ENOMEM;
	}
	return 0;
}

/* Write the backend's hypercall instruction over every site in .rs_hypercall_sites. */
static int patch_sites(const struct rs_image *image, const struct rs_mem *m, const struct loaded *l,
		       uint32_t backend, char *why)
{
	static const uint8_t vmcall[3] = { 0x0f, 0x01, 0xc1 }, vmmcall[3] = { 0x0f, 0x01, 0xd9 };
	const uint8_t *want = backend == RS_BACKEND_VMX ? vmcall : vmmcall;
	const Elf64_Ehdr *h = image->data;
	const Elf64_Shdr *sh = (const Elf64_Shdr *)((const char *)image->data + h->e_shoff);
	const char *names;
	unsigned int i, found = 0;
	uint64_t k;

	if (h->e_shentsize != sizeof(*sh) || h->e_shoff % 8 ||
	    !inside(image, h->e_shoff, (uint64_t)h->e_shnum * sizeof(*sh)) ||
	    h->e_shstrndx >= h->e_shnum ||
	    !inside(image, sh[h->e_shstrndx].sh_offset, sh[h->e_shstrndx].sh_size) ||
	    !sh[h->e_shstrndx].sh_size)
		return bad_image(why, "section headers");
	names = (const char *)image->data + sh[h->e_shstrndx].sh_offset;
	if (names[sh[h->e_shstrndx].sh_size - 1])
		return bad_image(why, "section names");
	for (i = 0; i < h->e_shnum; i++) {
		if (sh[i].sh_name >= sh[h->e_shstrndx].sh_size ||
		    strcmp(names + sh[i].sh_name, ".rs_hypercall_sites"))
			continue;
		if (sh[i].sh_type != SHT_PROGBITS || sh[i].sh_offset % 8 || sh[i].sh_size % 8 ||
		    !inside(image, sh[i].sh_offset, sh[i].sh_size))
			return bad_image(why, ".rs_hypercall_sites");
		for (k = 0; k < sh[i].sh_size / 8; k++) {
			uint64_t va = ((const uint64_t *)((const char *)image->data +
							  sh[i].sh_offset))[k];
			uint64_t off = va - (RS_KERNEL_BASE + RS_KERNEL_GPA);
			uint8_t *site;

			if (off >= l->size || l->size - off < 3)
				return bad_image(why, "a hypercall site lies outside");
			site = at(m, RS_KERNEL_GPA + off);
			if (memcmp(site, vmcall, 3) && memcmp(site, vmmcall, 3))
				return bad_image(why, "a hypercall site holds something else");
			memcpy(site, want, 3);
			found++;
		}
	}
	return found ? 0 : bad_image(why, "no hypercall sites");
}

/*
 * Copy the segments and map them with their rights. A page that two segments share gets the rights
 * of both, never W and X.
 */
static int copy_image(struct place *p, uint64_t root, const struct rs_image *image,
		      const struct loaded *l, char *why)
{
	const Elf64_Ehdr *h = image->data;
	const uint64_t base = RS_KERNEL_BASE + RS_KERNEL_GPA;
	uint8_t *rights = calloc(l->size / RS_PAGE, 1);
	unsigned int i;
	uint64_t n;

	if (!rights) {
		snprintf(why, RS_WHY, "out of memory");
		return -ENOMEM;
	}
	for (i = 0; i < h->e_phnum; i++) {
		const Elf64_Phdr *ph =
			(const Elf64_Phdr *)((const char *)image->data + h->e_phoff) + i;
		uint64_t off = ph->p_vaddr - base;

		if (ph->p_type != PT_LOAD || !ph->p_memsz)
			continue;
		memcpy(at(p->m, RS_KERNEL_GPA + off), (const char *)image->data + ph->p_offset,
		       ph->p_filesz);
		for (n = off / RS_PAGE; n <= (off + ph->p_memsz - 1) / RS_PAGE; n++)
			rights[n] |= PF_R | (ph->p_flags & (PF_W | PF_X));
	}
	for (n = 0; n < l->size / RS_PAGE; n++) {
		if (!rights[n])
			continue;
		if (rights[n] & PF_W && rights[n] & PF_X) {
			free(rights);
			return bad_image(why, "a page is writable and executable");
		}
		map_page(p, root, base + n * RS_PAGE, RS_KERNEL_GPA + n * RS_PAGE, 1,
			 PTE_G | (rights[n] & PF_W ? PTE_W : 0) | (rights[n] & PF_X ? 0 : PTE_NX));
	}
	free(rights);
	return 0;
}

/* --- the first process ----------------------------------------------------------------------- */

/* Path, argv and envp as strings one after the other. */
static int place_args(struct place *p, const struct rs_start *start, struct rs_boot *boot,
		      char *why)
{
	const char *const *lists[] = { start->argv, start->envp };
	uint64_t size = strlen(start->program) + 1, gpa;
	uint32_t counts[2] = { 0, 0 };
	unsigned int i, k;
	char *to;

	for (i = 0; i < 2; i++)
		for (k = 0; lists[i] && lists[i][k]; k++, counts[i]++)
			size += strlen(lists[i][k]) + 1;
	if (size > ARGS_MAX) {
		snprintf(why, RS_WHY, "arguments and environment are %llu KiB long, more than %llu",
			 (unsigned long long)size >> 10, ARGS_MAX >> 10);
		return -E2BIG;
	}
	gpa = place(p, size, RS_PAGE);
	if (p->failed)
		return 0;
	to = stpcpy(at(p->m, gpa), start->program) + 1;
	for (i = 0; i < 2; i++)
		for (k = 0; k < counts[i]; k++)
			to = stpcpy(to, lists[i][k]) + 1;
	boot->args_gpa = gpa;
	boot->args_size = size;
	boot->argc = counts[0];
	boot->envc = counts[1];
	return 0;
}

static uint64_t stack_limit(const struct rs_mem *m)
{
	struct rlimit rl;
	uint64_t limit = 8ull << 20;

	if (!getrlimit(RLIMIT_STACK, &rl) && rl.rlim_cur != RLIM_INFINITY)
		limit = rl.rlim_cur;
	if (limit > m->arena_size / 4)
		limit = m->arena_size / 4;
	if (limit < 256 << 10)
		limit = 256 << 10;
	return limit & ~(RS_PAGE - 1);
}

static void describe_process(struct rs_boot *boot, const struct rs_mem *m,
			     const struct rs_start *start)
{
	/* The guest kernel applies each process's own; this process has threads of many of them. */
	boot->umask = umask(0);
	boot->ppid = 1;
	boot->pid = boot->pgid = 2;
	boot->sid = 1;
	boot->uid = getuid();
	boot->euid = geteuid();
	boot->gid = getgid();
	boot->egid = getegid();
	memcpy(boot->stdio, start->stdio, sizeof(boot->stdio));
	boot->cwd_fd = start->cwd_fd;
	boot->stack_limit = stack_limit(m);
	/*
	 * Both are what Linux shows a process: the CPUID bits of the CPU, which the module does not
	 * take away from a guest.
	 */
	boot->hwcap = getauxval(AT_HWCAP);
	boot->hwcap2 = boot->cr4 & CR4_FSGSBASE ? HWCAP2_FSGSBASE : 0;
}

/*
 * Ticks of the TSC in a millisecond, as the guest's accounts of CPU time need it: nobody tells it,
 * and what CPUID says need not be so in a virtual machine. The sandbox has been in the making for
 * longer than reading the clock takes.
 */
static uint64_t tsc_khz(const struct rs_sandbox *sb)
{
	struct rs_moment now = rs_moment();
	uint64_t ns = now.ns - sb->start.ns, ticks = now.tsc - sb->start.tsc;

	return ns && ticks < UINT64_MAX / 1000000 ? ticks * 1000000 / ns : 0;
}

int rs_load(struct rs_sandbox *sb, const struct rs_image *image, const struct rs_start *start,
	    struct rs_vcpu_shared *shared[], struct rs_vcpu_state states[], char *why)
{
	const struct rs_info *info = &sb->engine.info;
	struct rs_mem *m = &sb->mem;
	struct place p = { .m = m };
	uint64_t root, boot_gpa, shared_gpa, stacks;
	struct rs_boot *boot;
	struct loaded l;
	unsigned int i;
	int ret;

	_Static_assert(sizeof(struct rs_boot) <= RS_PAGE, "the boot page is a page");
	_Static_assert(sizeof(struct rs_vcpu_shared) == RS_PAGE, "a shared page is a page");

	ret = check_image(image, m, &l, why);
	if (ret)
		return ret;
	p.next = RS_KERNEL_GPA + l.size;

	root = new_table(&p);
	boot_gpa = place(&p, RS_PAGE, RS_PAGE);
	shared_gpa = place(&p, sb->ncpus * RS_PAGE, RS_PAGE);
	stacks = place(&p, sb->ncpus * STACK_SIZE, STACK_SIZE);
	map_direct(&p, root, 0, m->arena_size, info->features & RS_FEATURE_GUEST_1G);
	map_direct(&p, root, m->window_gpa, m->window_size, info->features & RS_FEATURE_GUEST_1G);
	if (m->vdso_size)
		map_direct(&p, root, m->vdso_at, RS_HUGE, false);
	ret = copy_image(&p, root, image, &l, why);
	if (ret)
		return ret;
	ret = patch_sites(image, m, &l, info->backend, why);
	if (ret)
		return ret;

	boot = at(m, boot_gpa);
	boot->magic = RS_BOOT_MAGIC;
	boot->version = RS_BOOT_VERSION;
	boot->flags = start->boot_flags;
	boot->ncpus = sb->ncpus;
	boot->backend = info->backend;
	boot->arena_size = m->arena_size;
	boot->window_gpa = m->window_gpa;
	boot->window_size = m->window_size;
	boot->shared_gpa = shared_gpa;
	if (m->vdso_size) {
		boot->vdso_gpa = m->vdso_at + m->vvar_size;
		boot->vdso_size = m->vdso_size;
		boot->vvar_size = m->vvar_size;
	}
	boot->cr3 = root;
	boot->cr4 = (CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE |
		     CR4_SMEP | CR4_SMAP | (info->features & RS_FEATURE_XSAVE ? CR4_OSXSAVE : 0)) &
		    info->cr4_allowed;
	boot->tsc_khz = tsc_khz(sb);
	boot->efer = (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE) & info->efer_allowed;
	boot->image_size = l.size;
	if (start->trace_mask)
		memcpy(boot->trace_mask, start->trace_mask, sizeof(boot->trace_mask));
	if (getrandom(boot->random, sizeof(boot->random), 0) != sizeof(boot->random)) {
		snprintf(why, RS_WHY, "no random bytes: %s", strerror(errno));
		return -EIO;
	}
	boot->slots_gpa = SLOTS_GPA;
	boot->nslots = RS_SLOTS;
	boot->max_pids = start->pids;
	boot->net = start->net;
	if (start->trace_events) {
		boot->trace_gpa = place(&p, sb->ncpus * rs_events_ring_size(), RS_PAGE);
		boot->trace_events = start->trace_events;
		boot->trace_slots = RS_TRACE_SLOTS;
		boot->trace_depth = start->trace_depth;
		sb->trace_gpa = boot->trace_gpa;
	}
	describe_process(boot, m, start);
	ret = place_args(&p, start, boot, why);
	if (ret)
		return ret;
	if (p.failed) {
		snprintf(why, RS_WHY,
			 "%llu MiB of memory are too little for the guest kernel: give it more "
			 "--memory",
			 (unsigned long long)m->arena_size >> 20);
		return -ENOMEM;
	}
	boot->free_gpa = p.next;
	sb->boot = boot;
	sb->slots = at(m, SLOTS_GPA);
	sb->nslots = RS_SLOTS;

	for (i = 0; i < sb->ncpus; i++) {
		struct rs_vcpu_state *st = &states[i];

		shared[i] = at(m, shared_gpa + i * RS_PAGE);
		memset(st, 0, sizeof(*st));
		st->rip = l.entry;
		st->rsp = RS_DIRECT_BASE + stacks + (i + 1) * STACK_SIZE;
		st->rdi = RS_DIRECT_BASE + boot_gpa;
		st->rsi = i;
		st->rflags = 2;
		st->cr3 = root;
		st->cr4 = boot->cr4;
		st->efer = boot->efer;
	}
	return 0;
}
