// SPDX-License-Identifier: MIT
/*
 * Everything else of the interface: entering, output, the end, maps, ELF, vector registers in memory; and the constants.
 */
#include "dune_test.h"
#include <elf.h>
#include <sys/auxv.h>
#include <time.h>

/* Values that programs have compiled in, or write into hardware's structures. */
_Static_assert(PTE_P == 1 && PTE_W == 2 && PTE_U == 4 && PTE_PWT == 8 && PTE_PCD == 0x10 && PTE_A == 0x20 && PTE_D == 0x40 && PTE_PS == 0x80, "PTE_");
_Static_assert(PTE_G == 0x100 && PTE_COW == 0x200 && PTE_NX == 1ull << 63 && PTE_USR1 == 1ull << 62 && PTE_USR2 == 1ull << 61, "PTE_");
_Static_assert(PTE_USR3 == 1ull << 60 && PTE_ADDR(~0ull) == 0xffffffffff000 && PTE_FLAGS(~0ull) == 0xfff0000000000fff, "PTE_");
_Static_assert(PERM_NONE == 0 && PERM_R == 1 && PERM_W == 2 && PERM_X == 4 && PERM_U == 8 && PERM_UC == 16 && PERM_COW == 32, "PERM_");
_Static_assert(PERM_USR1 == 0x1000 && PERM_USR2 == 0x2000 && PERM_USR3 == 0x3000 && PERM_BIG == 0x100 && PERM_BIG_1GB == 0x200, "PERM_");
_Static_assert(PERM_SCODE == 5 && PERM_STEXT == 3 && PERM_SSTACK == 3 && PERM_UCODE == 13 && PERM_UTEXT == 11 && PERM_USTACK == 11, "PERM_");
_Static_assert(FEC_P == 1 && FEC_W == 2 && FEC_U == 4 && FEC_RSV == 8 && FEC_I == 16, "FEC_");
_Static_assert(CREATE_NONE == 0 && CREATE_NORMAL == 1 && CREATE_BIG == 2 && CREATE_BIG_1GB == 3, "CREATE_");
_Static_assert(T_DIVIDE == 0 && T_DEBUG == 1 && T_NMI == 2 && T_BRKPT == 3 && T_OFLOW == 4 && T_BOUND == 5 && T_ILLOP == 6 && T_DEVICE == 7, "T_");
_Static_assert(T_DBLFLT == 8 && T_TSS == 10 && T_SEGNP == 11 && T_STACK == 12 && T_GPFLT == 13 && T_PGFLT == 14 && T_FPERR == 16, "T_");
_Static_assert(T_ALIGN == 17 && T_MCHK == 18 && T_SIMDERR == 19 && T_SYSCALL == 48 && IDT_ENTRIES == 256, "T_");
_Static_assert(PROCMAP_TYPE_UNKNOWN == 0 && PROCMAP_TYPE_FILE == 1 && PROCMAP_TYPE_ANONYMOUS == 2 && PROCMAP_TYPE_HEAP == 3, "PROCMAP_");
_Static_assert(PROCMAP_TYPE_STACK == 4 && PROCMAP_TYPE_VSYSCALL == 5 && PROCMAP_TYPE_VDSO == 6 && PROCMAP_TYPE_VVAR == 7, "PROCMAP_");
_Static_assert(PGSHIFT == 12 && PGSIZE == 4096 && BIG_PGSIZE == 1 << 21 && NPTBITS == 9 && NPTLVLS == 3 && NPTENTRIES == 512, "pages");
_Static_assert(PAGEBASE == 0x200000000 && MAX_PAGES == 1 << 20 && CR3_NOFLUSH == 1ull << 63, "pages");
_Static_assert(DUNE_SIGNAL_INTR_BASE == 200 && GPA_STACK_SIZE == 1ul << 30 && GPA_MAP_SIZE == (1ul << 36) - (1ul << 30), "kern/dune.h");
_Static_assert(GD_KT == 0x10 && GD_KD == 0x18 && GD_UD == 0x28 && GD_UT == 0x30 && GD_TSS == 0x38 && NR_GDT_ENTRIES == 9, "GD_");
_Static_assert(sizeof(struct Tss) == 104 && offsetof(struct Tss, tss_rsp) == 4 && offsetof(struct Tss, tss_ist[1]) == 36, "Tss");
_Static_assert(offsetof(struct Pseudodesc, pd_lim) == PD_SKIP && sizeof(struct idtd) == 16 && sizeof(struct tptr) == 10, "descriptors");
_Static_assert(sizeof(struct fxsave_area) == 512 && sizeof(struct xsave_header) == 64 && sizeof(struct fpu_area) == 832, "fpu.h");
_Static_assert(sizeof(struct Fpregs) == 512 && FL_IF == 0x200 && FL_AC == 0x40000 && CR0_WP == 0x10000 && EFER_NXE == 0x800, "registers");
_Static_assert(SEG64(SEG_X | SEG_R, 3) >> 40 == 0xaffb && SEG_BASEHI(0x123456789ull) == 1, "SEG_");

TEST(entering_in_and_out_of_order)
{
	EXPECT_EQ(dune_enter(), -EINVAL);
	enter(true);
	EXPECT_EQ(dune_init(true), 0);
	EXPECT_EQ(dune_enter(), 0);
	EXPECT_EQ(dune_init_and_enter(), 0);
	printf("# stdio inside: %d %.2f\n", 42, 1.5);
	fflush(stdout);
	EXPECT_NE(time(NULL), -1);
}

static void taken(void)
{
	/* the pool's place */
	if (mmap((void *)(PAGEBASE + (100ul << 20)), PGSIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		_exit(1);
	_exit(dune_init(true) == -ENOMEM && *(char *)(PAGEBASE + (100ul << 20)) == 0 ? 7 : 2);
}

static void no_room(void)
{
	_exit(dune_init(true) == 0 && dune_enter() == 0 ? 8 : 2);
}

TEST(an_address_that_is_taken)
{
	int ret = end_of(taken);

	if (access("/dev/ringside", F_OK))
		SKIP("no device: the module is not loaded");
	EXPECT_EQ(ret, 7);
	EXPECT_EQ(end_of(no_room), 8);
}

static void print(void)
{
	char big[3000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	EXPECT_EQ(dune_printf("%s %d\n", "text", 7), 7);
	EXPECT_EQ(dune_printf("%s", big), 1023);
}

static void die(void)
{
	if (dune_enter())
		_exit(2);
	printf("never seen");
	dune_die();
}

static void fail_assert(void)
{
	if (dune_enter())
		_exit(2);
	assert(1 + 1 == 2);
	assert(1 + 1 == 3);
	_exit(3);
}

static void die_twice(void)
{
	EXPECT_EQ(end_of(die), 1);
	EXPECT_EQ(end_of(fail_assert), 1);
}

TEST(output_and_the_end)
{
	char *text;

	enter(true);
	text = output_of(print);
	EXPECT(!strncmp(text, "text 7\nxxx", 10) && strlen(text) == 7 + 1023);
	free(text);
	text = output_of(die_twice);
	EXPECT(strstr(text, "ASSERT(1 + 1 == 3) at") && !strstr(text, "never seen"));
	free(text);
}

TEST(dune_mmap_is_mmap)
{
	char *p;

	enter(true);
	p = dune_mmap(NULL, 3 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(p != MAP_FAILED);
	memset(p, 1, 3 * PGSIZE);
	EXPECT_ERRNO(dune_mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
}

TEST(ticks_go_on)
{
	unsigned long a, b;

	a = dune_get_ticks();
	enter(true);
	b = dune_get_ticks();
	EXPECT_GT(b, a);
	EXPECT_GE(dune_get_ticks(), b);
}

TEST(privileged_instructions_of_its_own)
{
	uint64_t fs, gs = 0x123456789000, got, cr;
	struct tptr idt;

	enter(true);
	rdmsrl(MSR_FS_BASE, fs);
	EXPECT_EQ(fs, *(uint64_t *)fs);		/* glibc's thread block begins with its address */
	wrmsrl(MSR_GS_BASE, gs);
	rdmsrl(MSR_GS_BASE, got);
	EXPECT_EQ(got, gs);
	getppid();				/* it is the program's and stays */
	rdmsrl(MSR_GS_BASE, got);
	EXPECT_EQ(got, gs);
	wrmsrl(MSR_GS_BASE, 0);
	asm volatile("cli\n\tsti");
	asm volatile("mov %%cr0, %0" : "=r"(cr));
	EXPECT_EQ(cr & (CR0_PG | CR0_WP | CR0_PE), CR0_PG | CR0_WP | CR0_PE);
	asm volatile("sidt %0" : "=m"(idt));
	EXPECT_EQ(idt.limit, 4095);
	EXPECT_EQ(((struct idtd *)idt.base)[T_PGFLT].selector, GD_KT);
	asm volatile("mov %%cs, %0" : "=r"(cr));
	EXPECT_EQ(cr, GD_KT);
}

/* --- maps ----------------------------------------------------------------------------------------------------------------------------------- */

static int stacks, vdsos, text;
static void look(const struct dune_procmap_entry *e)
{
	int local;

	if (e->type == PROCMAP_TYPE_STACK)
		stacks += e->r && e->w && (uintptr_t)&local >= e->begin && (uintptr_t)&local < e->end;
	if (e->type == PROCMAP_TYPE_VDSO)
		vdsos += e->begin == getauxval(AT_SYSINFO_EHDR) && e->x;
	if (e->begin <= (uintptr_t)look && e->end > (uintptr_t)look)
		text += e->type == PROCMAP_TYPE_FILE && e->x && !e->w && e->p && strstr(e->path, "rs-dune");
}

TEST(maps)
{
	char *shown;

	enter(true);
	dune_procmap_iterate(look);
	EXPECT_EQ(stacks, 1);
	EXPECT_EQ(vdsos, 1);
	EXPECT_EQ(text, 1);
	shown = output_of(dune_procmap_dump);
	EXPECT(strstr(shown, "Process Map Dump") && strstr(shown, "[stack]") && strstr(shown, "R-XP"));
	free(shown);
}

/* --- ELF ------------------------------------------------------------------------------------------------------------------------------------ */

static int loads, sections;
static int a_segment(struct dune_elf *elf, Elf64_Phdr *p)
{
	loads += p->p_type == PT_LOAD;
	return 0;
}

static int a_section(struct dune_elf *elf, const char *name, int number, Elf64_Shdr *s)
{
	sections += !strcmp(name, ".text") && s->sh_type == SHT_PROGBITS && (s->sh_flags & SHF_EXECINSTR);
	return 0;
}

static void show_elf(void)
{
	struct dune_elf elf;

	ASSERT_EQ(dune_elf_open(&elf, "/proc/self/exe"), 0);
	EXPECT_EQ(dune_elf_dump(&elf), 0);
	dune_elf_close(&elf);
}

TEST(elf_files)
{
	struct dune_elf elf;
	char *shown;

	enter(true);
	ASSERT_EQ(dune_elf_open(&elf, "/proc/self/exe"), 0);
	EXPECT_EQ(dune_elf_iter_ph(&elf, a_segment), 0);
	EXPECT_EQ(dune_elf_iter_sh(&elf, a_section), 0);
	EXPECT(loads >= 2 && sections == 1);
	EXPECT_EQ(dune_elf_close(&elf), 0);
	/* the vDSO is one, in memory */
	loads = 0;
	ASSERT_EQ(dune_elf_open_mem(&elf, (void *)getauxval(AT_SYSINFO_EHDR), PGSIZE), 0);
	EXPECT_EQ(elf.hdr.e_type, ET_DYN);
	EXPECT_EQ(dune_elf_iter_ph(&elf, a_segment), 0);
	EXPECT_EQ(loads, 1);
	dune_elf_close(&elf);
	EXPECT_EQ(dune_elf_open(&elf, "/dev/null"), -EIO);
	shown = output_of(show_elf);
	EXPECT(strstr(shown, ".text") && strstr(shown, "LOAD") && strstr(shown, "PROGBITS"));
	free(shown);
}

/* --- vector registers ------------------------------------------------------------------------------------------------------------------------ */

TEST(vector_registers_in_memory)
{
	static struct fpu_area mine, other, safe;
	uint64_t a[2] = { 0x1111222233334444, 0x5555666677778888 }, got[2];
	uint32_t mxcsr;
	uint16_t cw;

	enter(true);
	dune_fpu_init(&other);
	asm volatile("movdqu %0, %%xmm5" : : "m"(a) : "xmm5");
	dune_fpu_save_safe(&mine);
	dune_fpu_load(&other);
	asm volatile("movdqu %%xmm5, %0\n\tstmxcsr %1\n\tfnstcw %2" : "=m"(got), "=m"(mxcsr), "=m"(cw));
	EXPECT(!got[0] && !got[1]);
	EXPECT_EQ(mxcsr, 0x1f80);
	EXPECT_EQ(cw, 0x37f);
	dune_fpu_load(&mine);
	dune_fpu_save(&safe);
	asm volatile("movdqu %%xmm5, %0" : "=m"(got));
	EXPECT(!memcmp(a, got, sizeof(a)));
	EXPECT(!memcmp(&safe.xsave.fxsave.xmm_regs[20], a, sizeof(a)));
}
