// SPDX-License-Identifier: MIT
/*
 * decode_test.c - the decoder of MOVs against the CPU
 *
 * Instructions are made at random, all forms that the decoder knows, so that they hit a window of memory;
 * then each is executed with random registers, and what has become of the registers, of the window and of
 * RIP must be what the decoder has said. An address that it gets wrong, or a length, is a fault here, or a
 * difference. Code and window lie below 2 GiB, so that absolute addresses of 32 bits reach them.
 *
 * What it must refuse is a table. Bytes at random and instructions that are cut off show that it reads
 * nothing behind the end (they lie at the end of an allocation, under ASan).
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "model.h"
#include "net/decode.h"

#define CODE		0x21000000ul
#define WINDOW		0x21010000ul
#define WINDOW_SIZE	4096u
#define GS_BASE		0x12340ul

/* --- executing one instruction ------------------------------------------- */

/* In the order of their numbers; loaded before the instruction, stored after it. No stack is used between. */
u64 regs_in[16], regs_out[16], own_rsp, insn_at;
void execute(void);
void execute_back(void);

asm(".text\n"
    "execute:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, own_rsp(%rip)\n"
    "	mov regs_in+0(%rip), %rax;	mov regs_in+8(%rip), %rcx\n"
    "	mov regs_in+16(%rip), %rdx;	mov regs_in+24(%rip), %rbx\n"
    "	mov regs_in+32(%rip), %rsp;	mov regs_in+40(%rip), %rbp\n"
    "	mov regs_in+48(%rip), %rsi;	mov regs_in+56(%rip), %rdi\n"
    "	mov regs_in+64(%rip), %r8;	mov regs_in+72(%rip), %r9\n"
    "	mov regs_in+80(%rip), %r10;	mov regs_in+88(%rip), %r11\n"
    "	mov regs_in+96(%rip), %r12;	mov regs_in+104(%rip), %r13\n"
    "	mov regs_in+112(%rip), %r14;	mov regs_in+120(%rip), %r15\n"
    "	jmp *insn_at(%rip)\n"
    "execute_back:\n"
    "	mov %rax, regs_out+0(%rip);	mov %rcx, regs_out+8(%rip)\n"
    "	mov %rdx, regs_out+16(%rip);	mov %rbx, regs_out+24(%rip)\n"
    "	mov %rsp, regs_out+32(%rip);	mov %rbp, regs_out+40(%rip)\n"
    "	mov %rsi, regs_out+48(%rip);	mov %rdi, regs_out+56(%rip)\n"
    "	mov %r8, regs_out+64(%rip);	mov %r9, regs_out+72(%rip)\n"
    "	mov %r10, regs_out+80(%rip);	mov %r11, regs_out+88(%rip)\n"
    "	mov %r12, regs_out+96(%rip);	mov %r13, regs_out+104(%rip)\n"
    "	mov %r14, regs_out+112(%rip);	mov %r15, regs_out+120(%rip)\n"
    "	mov own_rsp(%rip), %rsp\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static u64 fault_address;

/* Back as if the instruction were finished; that it was not is noted. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	fault_address = (u64)info->si_addr | 1ull << 63;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)execute_back;
}

/* --- making one ---------------------------------------------------------- */

struct made {
	u8 bytes[32];
	u32 len;
	u64 ea;
	const char *form;
};

static u64 fs_base;

static void add(struct made *m, u64 v, u32 n)
{
	for (u32 i = 0; i < n; i++)
		m->bytes[m->len++] = v >> (8 * i);
}

/* Registers with which [base + index * 2^scale + disp] is @want; @has_*: -1 means none. False: not possible. */
static bool solve(u64 want, int base, int index, u32 scale, s64 disp)
{
	u64 rest = want - disp;

	if (base < 0 && index < 0)
		return !rest;
	if (base >= 0 && index >= 0 && base != index) {
		regs_in[base] = rest - (regs_in[index] << scale);
		return true;
	}
	if (base >= 0 && index < 0) {
		regs_in[base] = rest;
		return true;
	}
	/* one register, once or twice */
	u64 factor = (1ull << scale) + (base == index);

	if (rest % factor)
		return false;
	regs_in[index] = rest / factor;
	return true;
}

static bool make(struct made *m)
{
	static const u8 ops[] = { 0x88, 0x89, 0x8a, 0x8b, 0xc6, 0xc7, 0xa0, 0xa1, 0xa2, 0xa3, 0x63, 0xb6, 0xb7, 0xbe, 0xbf };
	static const u8 segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	const u8 op = ops[rnd_below(sizeof(ops))];
	u32 rex = rnd() & 1 ? 0x40 | (rnd() & 15) : 0, n, imm;
	u64 segment = 0, want;
	bool small = false;
	int base, index, i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < 16; i++)
		regs_in[i] = rnd();
	/* prefixes, some of them useless, some twice; a REX in front of them counts for nothing */
	for (n = rnd_below(4); n; n--) {
		const u8 p = rnd() & 1 ? 0x66 : segments[rnd_below(sizeof(segments))];

		if (!rnd_below(8))
			add(m, 0x40 | (rnd() & 15), 1);
		add(m, p, 1);
		small |= p == 0x66;
		if (p == 0x64)
			segment = fs_base;
		if (p == 0x65)
			segment = GS_BASE;
	}
	if (op == 0x63)
		rex |= 0x48;
	if (rex)
		add(m, rex, 1);
	if ((op & 0xf0) == 0xb0)
		add(m, 0x0f, 1);
	add(m, op, 1);
	m->ea = WINDOW + 64 + rnd_below(WINDOW_SIZE - 128);
	want = m->ea - segment;
	if ((op & 0xfc) == 0xa0) {
		m->form = "absolute";
		add(m, want, 8);
		return m->len <= RS_MOV_MAX;
	}

	const u32 mod = rnd_below(3), rm = rnd() & 7;
	const u32 reg = (op & 0xfe) == 0xc6 ? 0 : rnd() & 7;
	const s64 disp = mod == 1 ? (s8)rnd() : mod == 2 ? (s32)rnd() : 0;

	imm = (op & 0xfe) != 0xc6 ? 0 : op == 0xc6 ? 1 : small && !(rex & 8) ? 2 : 4;
	add(m, mod << 6 | reg << 3 | rm, 1);
	if (rm == 4) {
		const u32 scale = rnd() & 3, low_index = rnd() & 7, low_base = rnd() & 7;

		add(m, scale << 6 | low_index << 3 | low_base, 1);
		index = low_index | (rex & 2 ? 8 : 0);
		if (index == 4)
			index = -1;
		base = low_base | (rex & 1 ? 8 : 0);
		if (low_base == 5 && mod == 0) {
			/* no base, but 32 bits: all of the address, or what the index leaves */
			s64 far = index < 0 ? (s64)want : (s32)rnd();

			m->form = index < 0 ? "SIB, displacement alone" : "SIB, no base";
			if (far != (s32)far || !solve(want, -1, index, scale, far))
				return false;
			add(m, far, 4);
		} else {
			m->form = index < 0 ? "SIB, no index" : base == index ? "SIB, twice the same" : "SIB";
			if (!solve(want, base, index, scale, disp))
				return false;
			add(m, disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
		}
	} else if (rm == 5 && mod == 0) {
		s64 far = want - (CODE + m->len + 4 + imm);

		m->form = "RIP";
		if (far != (s32)far)
			return false;
		add(m, far, 4);
	} else {
		m->form = "base";
		if (!solve(want, rm | (rex & 1 ? 8 : 0), -1, 0, disp))
			return false;
		add(m, disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
	}
	add(m, rnd(), imm);
	return m->len <= RS_MOV_MAX;
}

/* --- comparing ----------------------------------------------------------- */

static u8 *exact(const u8 *bytes, u32 n)
{
	u8 *p = malloc(n ? n : 1);	/* ASan sees a read behind it, but for n == 0 */

	CHECK(p);
	memcpy(p, bytes, n);
	return p;
}

static int decode_exact(const u8 *bytes, u32 n, const struct rs_mov_cpu *cpu, struct rs_mov *mov)
{
	u8 *p = exact(bytes, n);
	int err = rs_mov_decode(p, n, cpu, mov);

	free(p);
	return err;
}

static void against_cpu(u32 rounds)
{
	static const char *const forms[] = { "absolute", "SIB, displacement alone", "SIB, no base", "SIB, no index",
					     "SIB, twice the same", "SIB", "RIP", "base" };
	u32 seen[ARRAY_SIZE(forms)] = { 0 }, writes = 0, sizes = 0;
	u8 *code = (u8 *)CODE, *window = (u8 *)WINDOW, before[WINDOW_SIZE];
	struct rs_mov_cpu cpu = { .rip = CODE, .fs_base = fs_base, .gs_base = GS_BASE };
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 };	/* jmp *0(%rip) */
	const u64 back = (u64)execute_back;
	struct rs_mov mov;
	struct made m;

	while (rounds) {
		u64 v = 0;
		u32 i;

		if (!make(&m))
			continue;
		rounds--;
		memcpy(cpu.gpr, regs_in, sizeof(regs_in));
		for (i = 0; i < m.len; i++)
			CHECK(decode_exact(m.bytes, i, &cpu, &mov) == -ENODATA, "%u of %u bytes", i, m.len);
		CHECK(decode_exact(m.bytes, m.len, &cpu, &mov) == 0, "op in %02x %02x %02x %02x", m.bytes[0],
		      m.bytes[1], m.bytes[2], m.bytes[3]);
		CHECK(mov.len == m.len, "%u, not %u bytes", mov.len, m.len);
		CHECK(mov.ea == m.ea, "%s: %#lx, not %#lx", m.form, mov.ea, m.ea);

		memcpy(code, m.bytes, m.len);
		memcpy(code + m.len, jump, sizeof(jump));
		memcpy(code + m.len + sizeof(jump), &back, sizeof(back));
		for (i = 0; i < WINDOW_SIZE; i += 8)
			*(u64 *)(before + i) = rnd();
		memcpy(window, before, WINDOW_SIZE);
		insn_at = CODE;
		fault_address = 0;
		execute();
		CHECK(!fault_address, "%s: a fault at %#lx, not %#lx", m.form, fault_address, m.ea);

		if (mov.write) {
			memcpy(before + (mov.ea - WINDOW), &mov.value, mov.size);
			CHECK(mov.size == 8 || !(mov.value >> (8 * mov.size)));
		} else {
			memcpy(&v, before + (mov.ea - WINDOW), mov.size);
			CHECK(mov.reg < 16);
			cpu.gpr[mov.reg] = rs_mov_result(&mov, cpu.gpr[mov.reg], v);
		}
		CHECK(!memcmp(window, before, WINDOW_SIZE), "%s: memory differs", m.form);
		for (i = 0; i < 16; i++)
			CHECK(regs_out[i] == cpu.gpr[i], "%s: register %u is %#lx, not %#lx", m.form, i, regs_out[i],
			      cpu.gpr[i]);
		for (i = 0; i < ARRAY_SIZE(forms); i++)
			seen[i] += !strcmp(forms[i], m.form);
		writes += mov.write;
		sizes |= mov.size;
	}
	for (u32 i = 0; i < ARRAY_SIZE(forms); i++)
		CHECK(seen[i], "no instruction of the form %s", forms[i]);
	CHECK(writes && sizes == 15);
}

static void refused(void)
{
	static const struct {
		const char *what;
		u8 bytes[16];
	} no[] = {
		{ "register to register", { 0x89, 0xc3 } },
		{ "immediate to register", { 0xc7, 0xc0, 1, 0, 0, 0 } },
		{ "C7 /1", { 0xc7, 0x08, 1, 0, 0, 0 } },
		{ "C6 /7", { 0xc6, 0x38, 1 } },
		{ "LOCK", { 0xf0, 0x89, 0x03 } },
		{ "REP", { 0xf3, 0x8b, 0x03 } },
		{ "REPNE", { 0xf2, 0x8b, 0x03 } },
		{ "addresses of 32 bits", { 0x67, 0x8b, 0x03 } },
		{ "XCHG", { 0x87, 0x03 } },
		{ "ADD", { 0x01, 0x03 } },
		{ "OR with an immediate", { 0x83, 0x0b, 1 } },
		{ "MOVS", { 0xa5 } },
		{ "STOS", { 0xab } },
		{ "PUSH", { 0xff, 0x33 } },
		{ "LEA", { 0x8d, 0x03 } },
		{ "MOV to a segment", { 0x8e, 0x03 } },
		{ "MOVSXD without REX.W", { 0x63, 0x03 } },
		{ "MOVSXD of a register", { 0x48, 0x63, 0xc3 } },
		{ "MOVZX of a register", { 0x0f, 0xb6, 0xc3 } },
		{ "MOVNTI", { 0x0f, 0xc3, 0x03 } },
		{ "MOVBE", { 0x0f, 0x38, 0xf0, 0x03 } },
		{ "MOVAPS", { 0x0f, 0x28, 0x03 } },
		{ "BSWAP", { 0x0f, 0xc8 } },
		{ "CMPXCHG", { 0x0f, 0xb1, 0x03 } },
		{ "BTS", { 0x0f, 0xab, 0x03 } },
		{ "VEX", { 0xc5, 0xf8, 0x28, 0x03 } },
		{ "more than 15 bytes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
					  0x66, 0x8b, 0x03 } },
		{ "prefixes only", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
				     0x66, 0x66 } },
	};
	struct rs_mov_cpu cpu = { .rip = CODE };
	struct rs_mov mov;

	for (u32 i = 0; i < ARRAY_SIZE(no); i++)
		CHECK(rs_mov_decode(no[i].bytes, RS_MOV_MAX, &cpu, &mov) == -EINVAL, "%s", no[i].what);
	CHECK(rs_mov_decode(NULL, 0, &cpu, &mov) == -ENODATA);
	/* what is behind the fifteenth byte does not matter: 14 bytes and one, 13 and two */
	u8 fits[16] = { [0 ... 12] = 0x3e, 0x8b, 0x03, 0xff };

	CHECK(rs_mov_decode(fits, 16, &cpu, &mov) == 0 && mov.len == 15);
}

static void random_bytes(u32 rounds)
{
	struct rs_mov_cpu cpu;
	struct rs_mov mov;
	u32 good = 0;

	while (rounds--) {
		u8 bytes[20];
		const u32 n = rnd_below(sizeof(bytes));

		for (u32 i = 0; i < sizeof(bytes); i++)
			bytes[i] = rnd();
		for (u32 i = 0; i < sizeof(cpu) / 8; i++)
			((u64 *)&cpu)[i] = rnd();
		if (decode_exact(bytes, n, &cpu, &mov))
			continue;
		good++;
		CHECK(mov.len && mov.len <= min_t(u32, n, RS_MOV_MAX) && mov.reg < 16);
		CHECK(mov.size == 1 || mov.size == 2 || mov.size == 4 || mov.size == 8);
		rs_mov_result(&mov, rnd(), rnd());
	}
	CHECK(good);
}

int main(int argc, char **argv)
{
	static u8 alternate[65536];
	const stack_t ss = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	rnd_seed(argc > 1 ? strtoull(argv[1], NULL, 0) : 1);
	CHECK(mmap((void *)CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		   0) == (void *)CODE);
	CHECK(mmap((void *)WINDOW, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		   0) == (void *)WINDOW);
	CHECK(!syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base) && !syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE));
	CHECK(!sigaltstack(&ss, NULL));
	for (int sig = SIGILL; sig <= SIGSEGV; sig++)
		if (sig == SIGILL || sig == SIGTRAP || sig == SIGBUS || sig == SIGFPE || sig == SIGSEGV)
			sigaction(sig, &sa, NULL);

	against_cpu(20000);
	PASS("the CPU does what the decoder says");
	refused();
	PASS("what is refused");
	random_bytes(200000);
	PASS("random bytes");
	DONE();
}
